//! What comes out, except for the state, which the handler changes in place.

use crate::codec::encode;
use crate::wire::{Due, StateChange, TimerChange};
pub use crate::wire::{Emission, Timer};
use serde::Serialize;
use std::time::Duration;

/// Emissions and timers of one event. Committed together with the state, or not
/// at all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Effects {
    emit: Vec<Emission>,
    timers: Vec<TimerChange>,
}

impl Effects {
    /// No effects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Publishes an event once the effects are committed: something that derives
    /// [`trait@Emit`], for the entity at hand; or `.to(key)` for another one. Order is
    /// kept.
    pub fn emit(&mut self, emission: impl Into<Emission>) -> &mut Self {
        self.emit.push(emission.into());
        self
    }

    /// Sets a timer of this entity; the one of the same name is replaced.
    pub fn set(&mut self, timer: Timer) -> &mut Self {
        self.timers.push(TimerChange::Set(timer));
        self
    }

    /// Takes a timer of this entity back, if it is set.
    pub fn cancel(&mut self, timer: TimerName) -> &mut Self {
        self.timers.push(TimerChange::Cancel(timer.0.to_owned()));
        self
    }

    /// With the change of state, as it goes to the host.
    pub(crate) fn with(self, state: StateChange) -> crate::wire::Effects {
        crate::wire::Effects {
            emit: self.emit,
            state,
            timers: self.timers,
        }
    }
}

/// An event that this handler may emit. Derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    note = "derive `wharf::Emit` for it, with `#[emit(\"type\")]`"
)]
pub trait Emit: Sized {
    /// Its type; one that the manifest lists under `emits`.
    fn event_type(&self) -> &'static str;

    /// Its data, as JSON.
    fn data(&self) -> Vec<u8>;

    /// Addresses it to another entity than the one at hand: 1 to 256 bytes.
    fn to(self, key: impl Into<String>) -> Emission {
        Emission {
            key: Some(key.into()),
            ..self.into()
        }
    }
}

impl<T: Emit> From<T> for Emission {
    fn from(event: T) -> Self {
        Self {
            event_type: event.event_type().to_owned(),
            key: None,
            content_type: None,
            attributes: Vec::new(),
            data: event.data(),
        }
    }
}

impl Emission {
    /// Adds an extension attribute; names are `[a-z0-9]{1,20}`.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }
}

/// The name of a timer that the manifest declares; [`timer!`](crate::timer!)
/// makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerName(&'static str);

impl TimerName {
    #[doc(hidden)]
    pub const fn __checked(name: &'static str) -> Self {
        Self(name)
    }

    /// Due this long after the commit, in whole milliseconds. At most 10 years.
    pub fn after(self, delay: Duration) -> Timer {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.due(Due::AfterMs(delay_ms))
    }

    /// Due at a time in milliseconds since 1970; a past one is due at once.
    pub fn at_ms(self, time_ms: u64) -> Timer {
        self.due(Due::AtMs(time_ms))
    }

    fn due(self, due: Due) -> Timer {
        Timer {
            name: self.0.to_owned(),
            due,
            data: Vec::new(),
        }
    }
}

impl Timer {
    /// Hands a value back with the event of the timer: at most 4096 bytes of JSON.
    #[must_use]
    pub fn with<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        self.data = encode(data);
        self
    }
}
