//! The contract as `wit-bindgen` writes it: the types that cross the boundary.
//!
//! Handlers see them under friendlier names ([`crate::Event`],
//! [`crate::Failure`]); this module is for code that works below those.
#![allow(
    missing_docs,
    reason = "generated from wit/, where every item is documented"
)]

mod bindings {
    #![allow(unsafe_code, clippy::all, clippy::mem_forget, reason = "generated")]

    wit_bindgen::generate!({
        path: "../../wit",
        world: "service",
        additional_derives: [Clone, PartialEq, Eq],
        pub_export_macro: true,
        generate_all,
    });

    #[allow(
        unused_imports,
        reason = "outside of a component there is nobody to export to"
    )]
    pub use export as export_component;
}

pub use bindings::exports;
pub use bindings::wharf::handler::types::{
    Due, Effects, Emission, Event, Failure, Outage, Problem, StateChange, Timer, TimerChange,
};
pub use bindings::wharf::handler::{config, http, log, metrics};

#[doc(hidden)]
pub use bindings::export_component as export;
