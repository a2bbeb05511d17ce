//! The host's side of the imports, for the attempt that runs on this thread.

use super::needs::{Call, Needs, Outcome};
use super::then::{Line, Sample};
use crate::wire::http::Request;
use crate::wire::log::Level;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What an attempt may use, and what it did with it.
pub(super) struct Context {
    needs: Needs,
    config: BTreeMap<String, String>,
    pub(super) calls: Vec<(Call, Outcome)>,
    pub(super) lines: Vec<Line>,
    pub(super) samples: Vec<Sample>,
}

impl Context {
    pub(super) fn new(needs: Needs, config: BTreeMap<String, String>) -> Self {
        Self {
            needs,
            config,
            calls: Vec::new(),
            lines: Vec::new(),
            samples: Vec::new(),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Runs `attempt` with a context, and gives it back. A panic leaves none behind.
pub(super) fn with<T>(context: Context, attempt: impl FnOnce() -> T) -> (T, Context) {
    struct Clear;
    impl Drop for Clear {
        fn drop(&mut self) {
            CURRENT.take();
        }
    }
    CURRENT.set(Some(context));
    let clear = Clear;
    let result = attempt();
    let context = CURRENT.take();
    drop(clear);
    let Some(context) = context else {
        panic!("an attempt began inside another one")
    };
    (result, context)
}

fn current<T>(use_it: impl FnOnce(&mut Context) -> T) -> T {
    CURRENT.with_borrow_mut(|current| {
        let Some(context) = current else {
            panic!("outside of a component only `wharf::testing` can play the host")
        };
        use_it(context)
    })
}

pub(crate) fn send(need: &str, request: &Request) -> Outcome {
    let call = Call {
        need: need.to_owned(),
        request: request.clone(),
    };
    // Not inside `current`: what answers may look at anything.
    let needs = current(|context| context.needs.clone());
    let outcome = needs.answer(&call);
    current(|context| context.calls.push((call, outcome.clone())));
    outcome
}

pub(crate) fn get(name: &str) -> Option<String> {
    current(|context| context.config.get(name).cloned())
}

pub(crate) fn write(level: Level, message: &str, fields: &[(String, String)]) {
    let line = Line {
        level,
        message: message.to_owned(),
        fields: fields.to_vec(),
    };
    current(|context| context.lines.push(line));
}

pub(crate) fn add(name: &str, value: f64, labels: &[(String, String)]) {
    let sample = Sample {
        name: name.to_owned(),
        value,
        labels: labels.to_vec(),
    };
    current(|context| context.samples.push(sample));
}

pub(crate) fn observe(name: &str, value: f64, labels: &[(String, String)]) {
    add(name, value, labels);
}
