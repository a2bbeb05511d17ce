//! The one path from wire to function and back. The component's export and the
//! test kit both take it.

use crate::codec::State;
use crate::effects::Effects;
use crate::event::{Event, Events};
use crate::failure::{Failure, Result};
use crate::wire::{self, StateChange};
use std::marker::PhantomData;

/// A handler as the host sees it. [`handler`](crate::handler) implements it for a
/// type of the function's name.
pub trait Handler {
    /// Handles one event of one entity.
    ///
    /// # Errors
    /// What the handler returned; and `bad-data` when the data do not decode.
    ///
    /// # Panics
    /// When the stored state does not decode, or the new one encodes to nothing.
    fn handle(
        event: &Event,
        data: Vec<u8>,
        state: Option<Vec<u8>>,
    ) -> std::result::Result<wire::Effects, Failure>;
}

/// A handler as a component's export.
pub struct Component<H>(PhantomData<H>);

impl<H: Handler> wire::exports::wharf::handler::handler::Guest for Component<H> {
    fn handle(
        event: Event,
        data: Vec<u8>,
        state: Option<Vec<u8>>,
    ) -> std::result::Result<wire::Effects, wire::Failure> {
        H::handle(&event, data, state).map_err(wire::Failure::from)
    }
}

/// Runs a handler that has state.
pub fn with_state<I: Events, S: State>(
    event: &Event,
    data: Vec<u8>,
    stored: Option<Vec<u8>>,
    handler: fn(&Event, I, &mut Option<S>) -> Result,
) -> std::result::Result<wire::Effects, Failure> {
    let Some(input) = I::decode(event, data)? else {
        return Ok(Effects::new().with(StateChange::Keep));
    };
    let mut state = stored.as_deref().map(load::<S>);
    let effects = handler(event, input, &mut state)?;
    Ok(effects.with(change(stored.as_deref(), state.as_ref())))
}

/// Runs a handler that has none. State left by an earlier version stays.
pub fn without_state<I: Events>(
    event: &Event,
    data: Vec<u8>,
    handler: fn(&Event, I) -> Result,
) -> std::result::Result<wire::Effects, Failure> {
    let effects = match I::decode(event, data)? {
        Some(input) => handler(event, input)?,
        None => Effects::new(),
    };
    Ok(effects.with(StateChange::Keep))
}

fn load<S: State>(bytes: &[u8]) -> S {
    S::decode(bytes).unwrap_or_else(|error| {
        panic!(
            "the stored state is not a {}: {error}",
            std::any::type_name::<S>()
        )
    })
}

fn change<S: State>(before: Option<&[u8]>, after: Option<&S>) -> StateChange {
    match (before, after.map(State::encode)) {
        (None, None) => StateChange::Keep,
        (Some(_), None) => StateChange::Delete,
        (_, Some(bytes)) if bytes.is_empty() => {
            panic!(
                "a {} without a byte: leave `None` to delete the state",
                std::any::type_name::<S>()
            )
        }
        (Some(before), Some(bytes)) if before == bytes => StateChange::Keep,
        (_, Some(bytes)) => StateChange::Put(bytes),
    }
}
