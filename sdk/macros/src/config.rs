//! `config!("from")`: a setting or a secret that the manifest declares.

use crate::manifest::Manifest;
use crate::names::Known;
use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;
use toml::Value;

/// `String` when the manifest makes sure of a value, else `Option<String>`.
pub fn expand(name: LitStr, manifest: &Manifest) -> syn::Result<TokenStream> {
    let text = name.value();
    Known {
        what: "a setting of this handler",
        place: "`[config]` or `[secrets]` in handler.toml",
        names: [manifest.keys("config"), manifest.keys("secrets")].concat(),
        remedy: format!("add `{text} = {{ default = \"...\" }}` to `[config]`"),
    }
    .check(&name)?;
    let read = if always_has_a_value(&text, manifest) {
        quote!(::wharf::config::always(#name))
    } else {
        quote!(::wharf::config::get(#name))
    };
    let watch = manifest.watch();
    Ok(quote!({ #watch #read }))
}

/// A default, or `required`, which for a secret is the default.
fn always_has_a_value(name: &str, manifest: &Manifest) -> bool {
    let required = |entry: &Value| entry.get("required").and_then(Value::as_bool);
    let config = manifest.entry("config", name);
    let secret = manifest.entry("secrets", name);
    config.is_some_and(|entry| entry.get("default").is_some() || required(entry) == Some(true))
        || secret.is_some_and(|entry| required(entry) != Some(false))
}
