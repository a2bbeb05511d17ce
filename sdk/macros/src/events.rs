//! `#[derive(Events)]`: from an event's type and bytes to a variant.

use crate::manifest::Manifest;
use crate::names::{Known, check_timer};
use crate::variant::{Form, attribute, each, unique};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, LitStr, Variant, spanned::Spanned};

/// How the host names the event of a timer (`wharf:handler/types`, `event`).
const TIMER_PREFIX: &str = "wharf.timer.";

pub fn derive(input: DeriveInput, manifest: &Manifest) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(syn::Error::new(
            input.ident.span(),
            "Events is derived for an enum: one variant for each event type that the handler acts on",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new(
            input.generics.span(),
            "an input enum has no type parameters or lifetimes",
        ));
    }
    let mut seen = Vec::new();
    let arms = each(data.variants.iter().map(|variant| {
        let event_type = event_type(variant, manifest)?;
        unique(&mut seen, event_type.clone(), variant.span())?;
        let decoded = decoded(variant)?;
        Ok(quote!(#event_type => #decoded,))
    }))?;
    every_timer_arrives(&input, &seen, manifest)?;
    let name = &input.ident;
    let watch = manifest.watch();
    Ok(quote! {
        #watch
        impl ::wharf::Events for #name {
            fn decode(
                event: &::wharf::Event,
                data: ::std::vec::Vec<u8>,
            ) -> ::core::result::Result<::core::option::Option<Self>, ::wharf::Undecodable> {
                let _ = &data;
                ::core::result::Result::Ok(::core::option::Option::Some(match event.event_type.as_str() {
                    #(#arms)*
                    _ => return ::core::result::Result::Ok(::core::option::Option::None),
                }))
            }
        }
    })
}

/// The wire type that a variant stands for, compared with the manifest.
fn event_type(variant: &Variant, manifest: &Manifest) -> syn::Result<String> {
    let event = attribute(&variant.attrs, "event")?;
    let timer = attribute(&variant.attrs, "timer")?;
    match (event, timer) {
        (Some(name), None) => {
            check_event(&name, manifest)?;
            Ok(name.value())
        }
        (None, Some(name)) => {
            check_timer(&name, manifest)?;
            Ok(format!("{TIMER_PREFIX}{}", name.value()))
        }
        _ => Err(syn::Error::new(
            variant.ident.span(),
            "say what this variant stands for: #[event(\"type\")] or #[timer(\"name\")], one of them",
        )),
    }
}

fn check_event(name: &LitStr, manifest: &Manifest) -> syn::Result<()> {
    let Some(names) = manifest.types() else {
        return Ok(());
    };
    Known {
        what: "an event type that reaches this handler",
        place: "`types` in handler.toml",
        names,
        remedy: format!(
            "add \"{}\" to `types` of the `[[on]]` that receives it",
            name.value()
        ),
    }
    .check(name)
}

/// A timer that nobody takes would fire into nothing.
fn every_timer_arrives(
    input: &DeriveInput,
    seen: &[String],
    manifest: &Manifest,
) -> syn::Result<()> {
    let arrives = |name: &&str| seen.contains(&format!("{TIMER_PREFIX}{name}"));
    let Some(lost) = manifest
        .list("timers")
        .into_iter()
        .find(|name| !arrives(name))
    else {
        return Ok(());
    };
    Err(syn::Error::new(
        input.ident.span(),
        format!(
            "the timer \"{lost}\" of handler.toml would fire unheard\nto fix it, add a variant with \
             #[timer(\"{lost}\")], or take it out of `timers`"
        ),
    ))
}

/// The expression that makes the variant from `data`.
fn decoded(variant: &Variant) -> syn::Result<TokenStream> {
    let name = &variant.ident;
    Ok(match Form::of(variant)? {
        Form::Unit => quote!(Self::#name),
        Form::Whole => quote!(Self::#name(::wharf::__private::decode(&data)?)),
        Form::Members(fields) => {
            let members = fields.named.iter().map(|field| {
                let (attributes, name, kind) = (&field.attrs, &field.ident, &field.ty);
                quote!(#(#attributes)* #name: #kind)
            });
            let names: Vec<_> = fields.named.iter().map(|field| &field.ident).collect();
            quote!({
                #[derive(::wharf::__private::serde::Deserialize)]
                #[serde(crate = "::wharf::__private::serde")]
                struct Members { #(#members),* }
                let members: Members = ::wharf::__private::decode(&data)?;
                Self::#name { #(#names: members.#names),* }
            })
        }
    })
}
