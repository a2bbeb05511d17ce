//! The handler's `handler.toml`, as far as names in code depend on it.
//!
//! It is read leniently: what is wrong with the file itself is reported by
//! `wharf check`, with line and remedy. Here only the names count.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

const FILE: &str = "handler.toml";

/// One parsed manifest.
pub struct Manifest {
    path: PathBuf,
    table: Table,
}

impl Manifest {
    /// Finds and reads the manifest of the code that is being compiled: the
    /// nearest one above the source file inside its crate, which is the one
    /// beside `Cargo.toml` unless a test has its own.
    pub fn find() -> syn::Result<Self> {
        let path = above_the_source().or_else(beside_cargo_toml).ok_or_else(|| {
            here(format!(
                "there is no {FILE} beside this crate's Cargo.toml. A handler's manifest names what it \
                 listens to, emits and needs; create it, or move this code into the handler's own crate"
            ))
        })?;
        let text = std::fs::read_to_string(&path)
            .map_err(|error| here(format!("cannot read {}: {error}", path.display())))?;
        let table = text
            .parse()
            .map_err(|error| here(format!("{FILE} is not TOML: {error}")))?;
        Ok(Self { path, table })
    }

    /// Tokens that make the compiler run again when the file changes.
    pub fn watch(&self) -> TokenStream {
        let path = self.path.to_string_lossy();
        quote!(
            const _: &[u8] = ::core::include_bytes!(#path);
        )
    }

    /// Names in a top-level list, such as `timers`.
    pub fn list(&self, key: &str) -> Vec<&str> {
        strings(self.table.get(key))
    }

    /// Names of the entries of a top-level table, such as `needs`.
    pub fn keys(&self, table: &str) -> Vec<&str> {
        self.entries(table).map(|(name, _)| name).collect()
    }

    /// One entry of a top-level table.
    pub fn entry(&self, table: &str, name: &str) -> Option<&Value> {
        self.table.get(table)?.get(name)
    }

    /// Whether a top-level key or table is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The text of a top-level key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.as_str()
    }

    /// The event types that can arrive; none when a subscription takes all.
    pub fn types(&self) -> Option<Vec<&str>> {
        let subscriptions = self.table.get("on")?.as_array()?;
        let lists = subscriptions.iter().map(|on| on.get("types"));
        lists
            .map(|types| types.map(|list| strings(Some(list))))
            .collect::<Option<Vec<_>>>()
            .map(|lists| lists.concat())
    }

    /// Whether any subscription says which entity an event belongs to.
    pub fn has_key_rule(&self) -> bool {
        let subscriptions = self.table.get("on").and_then(Value::as_array);
        subscriptions.is_some_and(|list| list.iter().any(|on| on.get("key").is_some()))
    }

    fn entries(&self, table: &str) -> impl Iterator<Item = (&str, &Value)> {
        let table = self.table.get(table).and_then(Value::as_table);
        table
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
    }
}

/// The strings of a TOML list; what is not a string is left out.
pub fn strings(value: Option<&Value>) -> Vec<&str> {
    let list = value.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// In the folders from the source file's up to the crate's. A source outside of
/// the crate (`trybuild` compiles such) has no crate to stop at.
fn above_the_source() -> Option<PathBuf> {
    let source = proc_macro::Span::call_site().local_file()?;
    let source = std::path::absolute(source).ok()?;
    let home = crate_folder().filter(|home| source.starts_with(home));
    let outside = home.as_deref().and_then(Path::parent);
    let mut folders = source
        .ancestors()
        .skip(1)
        .take_while(|folder| Some(*folder) != outside);
    folders.find_map(manifest_in)
}

/// For an editor or a tool that does not say where the source is.
fn beside_cargo_toml() -> Option<PathBuf> {
    manifest_in(&crate_folder()?)
}

fn crate_folder() -> Option<PathBuf> {
    std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from)
}

fn manifest_in(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(FILE)).filter(|path| path.is_file())
}

fn here(message: String) -> syn::Error {
    syn::Error::new(Span::call_site(), message)
}
