//! The macros of the guest SDK.
//!
//! Every name that a handler uses in its code and that its `handler.toml` must
//! know (event types, emissions, timers, needs, metrics, settings) is compared
//! with that file while the handler is compiled, so that a slip of the pen is a
//! compile error that says what to write instead, not an event that is
//! silently ignored in production. The crate reads that one file and nothing
//! else; it is used through the crate `wharf`, which documents each macro.

mod config;
mod emit;
mod events;
mod handler;
mod manifest;
mod metric;
mod names;
mod variant;

use manifest::Manifest;
use proc_macro::TokenStream;

/// Takes the types of the events that a handler listens to from an enum.
#[proc_macro_derive(Events, attributes(event, timer, serde))]
pub fn derive_events(item: TokenStream) -> TokenStream {
    expand(|manifest| events::derive(syn::parse(item)?, manifest))
}

/// Makes an enum or a struct something that a handler can emit.
#[proc_macro_derive(Emit, attributes(emit))]
pub fn derive_emit(item: TokenStream) -> TokenStream {
    expand(|manifest| emit::derive(syn::parse(item)?, manifest))
}

/// Turns one function into the component.
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(|manifest| handler::expand(attribute.into(), item.into(), manifest))
}

/// A need, by its name in the manifest.
#[proc_macro]
pub fn need(input: TokenStream) -> TokenStream {
    expand(|manifest| names::need(syn::parse(input)?, manifest))
}

/// A timer, by its name in the manifest.
#[proc_macro]
pub fn timer(input: TokenStream) -> TokenStream {
    expand(|manifest| names::timer(syn::parse(input)?, manifest))
}

/// A setting or a secret, by its name in the manifest.
#[proc_macro]
pub fn config(input: TokenStream) -> TokenStream {
    expand(|manifest| config::expand(syn::parse(input)?, manifest))
}

/// A metric, by its name in the manifest, with its labels.
#[proc_macro]
pub fn metric(input: TokenStream) -> TokenStream {
    expand(|manifest| metric::expand(syn::parse(input)?, manifest))
}

/// Reads the manifest, runs one expansion, and turns an error into the tokens
/// that make the compiler print it.
fn expand(with: impl FnOnce(&Manifest) -> syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    Manifest::find()
        .and_then(|manifest| with(&manifest))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
