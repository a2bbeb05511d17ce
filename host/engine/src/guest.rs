//! The host's side of the interfaces that a handler imports.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{config, http as http_bindings, log, metrics};
use crate::context::Context;
use crate::observations::Operation;

pub(crate) mod http;

/// Adds the contract's interfaces and WASI to a linker.
///
/// # Errors
///
/// When two of them have the same name.
pub(crate) fn link(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    config::add_to_linker::<_, HasSelf<_>>(linker, |context| context)?;
    log::add_to_linker::<_, HasSelf<_>>(linker, |context| context)?;
    metrics::add_to_linker::<_, HasSelf<_>>(linker, |context| context)?;
    http_bindings::add_to_linker::<_, HasSelf<_>>(linker, |context| context)
}

impl config::Host for Context {
    fn get(&mut self, name: String) -> Option<String> {
        self.settings.config.get(&name).cloned()
    }
}

impl log::Host for Context {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        self.desk.journal().write(level, &message, &fields);
    }
}

impl metrics::Host for Context {
    fn add(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.measure(Operation::Add, name, value, labels);
    }

    fn observe(&mut self, name: String, value: f64, labels: Vec<(String, String)>) {
        self.measure(Operation::Observe, name, value, labels);
    }
}

impl Context {
    fn measure(
        &mut self,
        operation: Operation,
        name: String,
        value: f64,
        labels: Vec<(String, String)>,
    ) {
        let declared = &self.settings.metrics;
        let observations = &mut self.scene.observations;
        observations.take(declared, &self.seen_labels, operation, name, value, labels);
    }
}
