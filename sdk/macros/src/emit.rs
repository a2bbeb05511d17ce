//! `#[derive(Emit)]`: from a value to an event's type and bytes.

use crate::manifest::Manifest;
use crate::names::Known;
use crate::variant::{Form, attribute, each};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Data, DataEnum, DeriveInput, LitStr, Variant, spanned::Spanned};

pub fn derive(input: DeriveInput, manifest: &Manifest) -> syn::Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new(
            input.generics.span(),
            "an emission has no type parameters or lifetimes",
        ));
    }
    let (types, data) = match &input.data {
        Data::Enum(data) => variants(data, manifest)?,
        Data::Struct(_) => {
            let event_type = event_type(&input.attrs, input.ident.span(), manifest)?;
            (
                quote!(_ => #event_type),
                quote!(_ => ::wharf::__private::encode(self)),
            )
        }
        Data::Union(_) => {
            return Err(syn::Error::new(
                input.ident.span(),
                "Emit is derived for an enum or a struct",
            ));
        }
    };
    let name = &input.ident;
    let watch = manifest.watch();
    Ok(quote! {
        #watch
        impl ::wharf::Emit for #name {
            fn event_type(&self) -> &'static str {
                match self { #types }
            }
            fn data(&self) -> ::std::vec::Vec<u8> {
                match self { #data }
            }
        }
    })
}

/// The match arms for the types and for the data of an enum's variants.
fn variants(data: &DataEnum, manifest: &Manifest) -> syn::Result<(TokenStream, TokenStream)> {
    let arms = each(data.variants.iter().map(|variant| {
        let event_type = event_type(&variant.attrs, variant.ident.span(), manifest)?;
        let name = &variant.ident;
        Ok((
            quote!(Self::#name { .. } => #event_type,),
            encoded(variant)?,
        ))
    }))?;
    let (types, bytes): (Vec<_>, Vec<_>) = arms.into_iter().unzip();
    Ok((quote!(#(#types)*), quote!(#(#bytes)*)))
}

/// The wire type named by `#[emit("...")]`, compared with the manifest.
fn event_type(attributes: &[Attribute], span: Span, manifest: &Manifest) -> syn::Result<LitStr> {
    let name = attribute(attributes, "emit")?
        .ok_or_else(|| syn::Error::new(span, "say which event this is: #[emit(\"type\")]"))?;
    Known {
        what: "an event type that this handler may emit",
        place: "`[emits]` in handler.toml",
        names: manifest.keys("emits"),
        remedy: format!(
            "add `\"{}\" = \"its subject, with {{key}}\"` to `[emits]`",
            name.value()
        ),
    }
    .check(&name)?;
    Ok(name)
}

/// The match arm that writes a variant's data.
fn encoded(variant: &Variant) -> syn::Result<TokenStream> {
    let name = &variant.ident;
    Ok(match Form::of(variant)? {
        Form::Unit => quote!(Self::#name => b"{}".to_vec(),),
        Form::Whole => quote!(Self::#name(data) => ::wharf::__private::encode(data),),
        Form::Members(fields) => {
            let names: Vec<_> = fields.named.iter().map(|field| &field.ident).collect();
            let types = fields.named.iter().map(|field| &field.ty);
            quote!(Self::#name { #(#names),* } => {
                #[derive(::wharf::__private::serde::Serialize)]
                #[serde(crate = "::wharf::__private::serde")]
                struct Members<'members> { #(#names: &'members #types),* }
                ::wharf::__private::encode(&Members { #(#names),* })
            })
        }
    })
}
