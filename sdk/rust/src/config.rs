//! Settings of the deployment. Read them with [`config!`](crate::config!), which
//! knows whether there is always a value.

/// The value of a setting or secret; none when it has none.
pub fn get(name: &str) -> Option<String> {
    crate::host::get(name)
}

/// The value of one that the manifest makes sure of. Panics when the host breaks
/// that promise.
#[doc(hidden)]
pub fn always(name: &str) -> String {
    get(name).unwrap_or_else(|| {
        panic!("the host gave no value for `{name}`, which the manifest promises")
    })
}
