//! What the two derives have in common: one named attribute a variant, and the
//! three forms that a variant may have.

use proc_macro2::Span;
use syn::{Attribute, Fields, FieldsNamed, LitStr, Variant, spanned::Spanned};

/// How a variant holds the data of its event.
pub enum Form<'a> {
    /// No data.
    Unit,
    /// One type that is all the data: `Placed(Placed)`.
    Whole,
    /// Its fields are the data's members: `Reserved { sku: String }`.
    Members(&'a FieldsNamed),
}

impl<'a> Form<'a> {
    /// The form of a variant; an error for tuples of two and more.
    pub fn of(variant: &'a Variant) -> syn::Result<Self> {
        match &variant.fields {
            Fields::Unit => Ok(Self::Unit),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(Self::Whole),
            Fields::Named(fields) => Ok(Self::Members(fields)),
            Fields::Unnamed(fields) => Err(syn::Error::new(
                fields.span(),
                "an event's data are one value: write one type here, or named fields",
            )),
        }
    }
}

/// The text of the attribute `#[name("text")]`, if there is one.
pub fn attribute(attributes: &[Attribute], name: &str) -> syn::Result<Option<LitStr>> {
    let mut found = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident(name));
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if let Some(second) = found.next() {
        return Err(syn::Error::new(
            second.span(),
            format!("a second #[{name}]: one is enough"),
        ));
    }
    first.parse_args().map(Some).map_err(|_| {
        syn::Error::new(
            first.span(),
            format!("write the name as text: #[{name}(\"...\")]"),
        )
    })
}

/// What is made of every variant; or all errors together, not only the first.
pub fn each<T>(variants: impl IntoIterator<Item = syn::Result<T>>) -> syn::Result<Vec<T>> {
    let mut made = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for result in variants {
        match (result, &mut errors) {
            (Ok(value), _) => made.push(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), None) => errors = Some(error),
        }
    }
    errors.map_or(Ok(made), Err)
}

/// Refuses a name that was seen before.
pub fn unique(seen: &mut Vec<String>, name: String, span: Span) -> syn::Result<()> {
    if seen.contains(&name) {
        return Err(syn::Error::new(
            span,
            format!("\"{name}\" has a variant already"),
        ));
    }
    seen.push(name);
    Ok(())
}
