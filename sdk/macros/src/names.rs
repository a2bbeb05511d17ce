//! Names that the manifest must know: the check, the message, and the two
//! macros that are nothing but a checked name.

use crate::manifest::Manifest;
use proc_macro2::TokenStream;
use quote::quote;
use syn::LitStr;

/// `need!("gateway")`.
pub fn need(name: LitStr, manifest: &Manifest) -> syn::Result<TokenStream> {
    let text = name.value();
    Known {
        what: "a need of this handler",
        place: "`[needs]` in handler.toml",
        names: manifest.keys("needs"),
        remedy: format!("add `[needs.{text}]`"),
    }
    .check(&name)?;
    let watch = manifest.watch();
    Ok(quote!({ #watch ::wharf::http::Need::__checked(#text) }))
}

/// `timer!("unpaid")`.
pub fn timer(name: LitStr, manifest: &Manifest) -> syn::Result<TokenStream> {
    check_timer(&name, manifest)?;
    let watch = manifest.watch();
    Ok(quote!({ #watch ::wharf::TimerName::__checked(#name) }))
}

/// That a timer of this name may be set.
pub fn check_timer(name: &LitStr, manifest: &Manifest) -> syn::Result<()> {
    Known {
        what: "a timer of this handler",
        place: "`timers` in handler.toml",
        names: manifest.list("timers"),
        remedy: format!("add \"{}\" to `timers`", name.value()),
    }
    .check(name)
}

/// The names that one place of the manifest knows.
pub struct Known<'a> {
    /// What a name there is, with its article.
    pub what: &'a str,
    /// Where in the manifest the names stand.
    pub place: &'a str,
    pub names: Vec<&'a str>,
    /// What to write into the manifest if the code is right.
    pub remedy: String,
}

impl Known<'_> {
    /// That `name` is one of them; else an error that says what to do.
    pub fn check(&self, name: &LitStr) -> syn::Result<()> {
        let text = name.value();
        if self.names.contains(&text.as_str()) {
            return Ok(());
        }
        Err(syn::Error::new(name.span(), self.explain(&text)))
    }

    fn explain(&self, text: &str) -> String {
        let Self {
            what,
            place,
            names,
            remedy,
        } = self;
        let nearest = names.iter().min_by_key(|name| distance(name, text));
        let near = nearest.filter(|name| distance(name, text) <= 1 + text.len() / 4);
        let guess = near
            .map(|name| format!("; did you mean \"{name}\"?"))
            .unwrap_or_default();
        let listed = if names.is_empty() {
            format!("{place} lists none")
        } else {
            format!("{place} lists \"{}\"", names.join("\", \""))
        };
        format!(
            "\"{text}\" is not {what}{guess}\n{listed}\nto fix it, correct the name here, or {remedy}"
        )
    }
}

/// Edits between two names (Levenshtein), in bytes: names are ASCII.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_single_edits() {
        assert_eq!(distance("gateway", "gateway"), 0);
        assert_eq!(distance("gateway", "gatway"), 1);
        assert_eq!(distance("unpaid", "upnaid"), 2);
        assert_eq!(distance("", "mail"), 4);
    }
}
