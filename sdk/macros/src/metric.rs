//! `metric!("requests_total", status = "ok")`: a metric that the manifest
//! declares, with exactly its labels.

use crate::manifest::{Manifest, strings};
use crate::names::Known;
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Token};
use toml::Value;

/// A metric's name and its labels.
pub struct Use {
    name: LitStr,
    labels: Vec<(Ident, Expr)>,
}

impl Parse for Use {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name = input.parse()?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        let label = |input: ParseStream<'_>| {
            let name = input.parse()?;
            input.parse::<Token![=]>()?;
            Ok((name, input.parse()?))
        };
        let labels = Punctuated::<_, Token![,]>::parse_terminated_with(input, label)?;
        Ok(Self {
            name,
            labels: labels.into_iter().collect(),
        })
    }
}

pub fn expand(used: Use, manifest: &Manifest) -> syn::Result<TokenStream> {
    let name = used.name.value();
    Known {
        what: "a metric of this handler",
        place: "`[metrics]` in handler.toml",
        names: manifest.keys("metrics"),
        remedy: format!("add `[metrics.{name}]`"),
    }
    .check(&used.name)?;
    let metric = manifest.entry("metrics", &name);
    check_labels(&used, metric.and_then(|metric| metric.get("labels")))?;
    let kind = match metric
        .and_then(|metric| metric.get("kind"))
        .and_then(Value::as_str)
    {
        Some("histogram") => quote!(Histogram),
        Some("counter") => quote!(Counter),
        _ => {
            let what = format!(
                "`kind` of [metrics.{name}] in handler.toml is \"counter\" or \"histogram\""
            );
            return Err(syn::Error::new(used.name.span(), what));
        }
    };
    let pairs = used.labels.iter().map(|(label, value)| {
        let label = label.to_string();
        quote!((#label, ::std::string::String::from(#value)))
    });
    let watch = manifest.watch();
    Ok(quote!({ #watch ::wharf::metrics::#kind::__checked(#name, ::std::vec![#(#pairs),*]) }))
}

/// Every declared label once, no other, and no literal outside the list.
fn check_labels(used: &Use, declared: Option<&Value>) -> syn::Result<()> {
    let declared = declared.and_then(Value::as_table);
    let names: Vec<&str> = declared
        .into_iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    for (label, value) in &used.labels {
        let text = LitStr::new(&label.to_string(), label.span());
        Known {
            what: "a label of this metric",
            place: "its `labels` in handler.toml",
            names: names.clone(),
            remedy: "add it there".to_owned(),
        }
        .check(&text)?;
        let values = declared.and_then(|labels| labels.get(&text.value()));
        if let Expr::Lit(ExprLit {
            lit: Lit::Str(value),
            ..
        }) = value
            && values.is_some_and(Value::is_array)
        {
            Known {
                what: "a value of this label",
                place: "the label in handler.toml",
                names: strings(values),
                remedy: "add it there".to_owned(),
            }
            .check(value)?;
        }
    }
    let given = |name: &&str| used.labels.iter().any(|(label, _)| label == name);
    match names.iter().find(|name| !given(name)) {
        None => Ok(()),
        Some(missing) => {
            let what = format!("the label `{missing}` has no value here: add `{missing} = ...`");
            Err(syn::Error::new(used.name.span(), what))
        }
    }
}
