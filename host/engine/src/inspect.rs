//! What a component says of itself, without being started.

use wasmtime::component::Component as Compiled;
use wasmtime::{Config, Engine};

use crate::interfaces;
use crate::load::{HANDLER, LoadError, check_header};

/// Largest file that is looked at, in bytes.
const BYTES_MAX: u64 = 256 << 20;

/// Imports and exports, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub imports: Vec<String>,
    /// Of the imports, those that no host has.
    pub unknown: Vec<String>,
    pub exports: Vec<String>,
    /// Whether it exports what a host calls.
    pub is_handler: bool,
}

/// Compiles a component for its types alone.
///
/// # Errors
/// It is no valid component.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, LoadError> {
    check_header(wasm, BYTES_MAX)?;
    let invalid = |error: wasmtime::Error| LoadError::Invalid {
        detail: format!("{error:#}"),
    };
    let engine = Engine::new(&Config::new()).map_err(invalid)?;
    let compiled = Compiled::from_binary(&engine, wasm).map_err(invalid)?;
    let ty = compiled.component_type();
    let names = |names: Vec<(&str, _)>| -> Vec<String> {
        names.into_iter().map(|(name, _)| name.to_owned()).collect()
    };
    let imports = names(ty.imports(&engine).collect());
    let exports = ty.exports(&engine).map(|(name, _)| name.to_owned());
    let exports: Vec<String> = exports.collect();
    Ok(Inspection {
        unknown: interfaces::unknown(imports.iter().map(String::as_str)),
        is_handler: exports.iter().any(|export| export == HANDLER),
        imports,
        exports,
    })
}
