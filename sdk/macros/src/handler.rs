//! `#[wharf::handler]`: one function becomes the component.
//!
//! The function stays as it is. Beside it stands a type of the same name that
//! implements `wharf::Handler`, for the test kit, and in a WebAssembly build
//! the export.

use crate::manifest::Manifest;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{FnArg, GenericArgument, ItemFn, PathArguments, ReturnType, Type, spanned::Spanned};

const FORM: &str = "a handler looks like this:\n    \
     fn name(event: &Event, input: In, state: &mut Option<State>) -> wharf::Result\n\
     where `In` derives `wharf::Events`; leave `state` out when there is none";

pub fn expand(
    attribute: TokenStream,
    item: TokenStream,
    manifest: &Manifest,
) -> syn::Result<TokenStream> {
    if !attribute.is_empty() {
        return Err(syn::Error::new(
            attribute.span(),
            "#[wharf::handler] takes nothing: settings are in handler.toml",
        ));
    }
    let function: ItemFn = syn::parse2(item.clone())
        .map_err(|_| wrong(&item, "#[wharf::handler] belongs on a function"))?;
    let Shape { input, state } = shape(&function)?;
    if let Some(state) = state {
        state_is_possible(state, manifest)?;
    }
    let name = &function.sig.ident;
    let vis = &function.vis;
    let run = match state {
        Some(state) => {
            quote!(::wharf::__private::with_state::<#input, #state>(event, data, state, #name))
        }
        None => quote!(::wharf::__private::without_state::<#input>(event, data, #name)),
    };
    let watch = manifest.watch();
    Ok(quote! {
        #function

        /// The handler as a type, for the test kit.
        #[allow(non_camel_case_types)]
        #vis struct #name {}

        impl ::wharf::Handler for #name {
            fn handle(
                event: &::wharf::Event,
                data: ::std::vec::Vec<u8>,
                state: ::core::option::Option<::std::vec::Vec<u8>>,
            ) -> ::core::result::Result<::wharf::wire::Effects, ::wharf::Failure> {
                let _ = &state;
                #run
            }
        }

        const _: () = {
            #watch
            #[cfg(target_arch = "wasm32")]
            type Exported = ::wharf::__private::Component<#name>;
            #[cfg(target_arch = "wasm32")]
            ::wharf::wire::export!(Exported with_types_in ::wharf::wire);
        };
    })
}

/// The two types that a handler's signature chooses.
struct Shape<'a> {
    input: &'a Type,
    state: Option<&'a Type>,
}

fn shape(function: &ItemFn) -> syn::Result<Shape<'_>> {
    let signature = &function.sig;
    if let Some(asyncness) = &signature.asyncness {
        return Err(wrong(
            asyncness,
            "a handler is not async: the host suspends it while a call waits",
        ));
    }
    if !signature.generics.params.is_empty() {
        return Err(wrong(
            &signature.generics,
            "a handler has no type parameters or lifetimes",
        ));
    }
    let mut arguments = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Typed(typed) => arguments.push(typed.ty.as_ref()),
            FnArg::Receiver(receiver) => {
                return Err(wrong(receiver, "a handler is a free function"));
            }
        }
    }
    if matches!(signature.output, ReturnType::Default) {
        return Err(wrong(&signature.ident, "a handler returns `wharf::Result`"));
    }
    match arguments.as_slice() {
        [event, input] => takes_event(event).map(|()| Shape { input, state: None }),
        [event, input, state] => {
            takes_event(event)?;
            Ok(Shape {
                input,
                state: Some(state_type(state)?),
            })
        }
        _ => Err(wrong(
            &signature.inputs,
            "a handler takes two arguments, or three with state",
        )),
    }
}

fn takes_event(argument: &Type) -> syn::Result<()> {
    match argument {
        Type::Reference(reference) if reference.mutability.is_none() => Ok(()),
        _ => Err(wrong(argument, "the first argument is the event: `&Event`")),
    }
}

/// `S` of `&mut Option<S>`.
fn state_type(argument: &Type) -> syn::Result<&Type> {
    let inner = || {
        let Type::Reference(reference) = argument else {
            return None;
        };
        reference.mutability?;
        let Type::Path(path) = reference.elem.as_ref() else {
            return None;
        };
        let last = path
            .path
            .segments
            .last()
            .filter(|segment| segment.ident == "Option")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else {
            return None;
        };
        match arguments.args.first() {
            Some(GenericArgument::Type(state)) => Some(state),
            _ => None,
        }
    };
    inner().ok_or_else(|| {
        wrong(
            argument,
            "the third argument is the state: `&mut Option<State>`",
        )
    })
}

/// The manifest gives this handler entities, and lets them have state.
fn state_is_possible(state: &Type, manifest: &Manifest) -> syn::Result<()> {
    let (why, remedy) = if manifest.text("ordering") == Some("none") {
        (
            "`ordering = \"none\"` makes every event its own entity",
            "change the manifest",
        )
    } else if !manifest.has_key_rule() {
        (
            "no `[[on]]` has a `key`, so there is no entity",
            "give it one",
        )
    } else if !manifest.has("state") {
        ("there is no `[state]`", "add `[state]` with `version = 1`")
    } else {
        return Ok(());
    };
    let message = format!(
        "this handler cannot have state: in handler.toml {why}\n\
         to fix it, leave the third argument out, or {remedy}"
    );
    Err(syn::Error::new(state.span(), message))
}

fn wrong(at: &impl quote::ToTokens, what: &str) -> syn::Error {
    syn::Error::new_spanned(at, format!("{what}\n{FORM}"))
}
