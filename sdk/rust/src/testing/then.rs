//! What came of an event.

use super::needs::{Call, Outcome};
use crate::codec::decode;
use crate::failure::Failure;
use crate::wire::log::Level;
use crate::wire::{Effects, Emission, StateChange};
use serde::de::DeserializeOwned;

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its message.
    pub message: String,
    /// Its fields, in order.
    pub fields: Vec<(String, String)>,
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name.
    pub name: String,
    /// In the unit of the name.
    pub value: f64,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
}

/// What came of an event.
#[derive(Debug)]
pub struct Then {
    pub(super) result: Result<Effects, Failure>,
    pub(super) calls: Vec<(Call, Outcome)>,
    pub(super) lines: Vec<Line>,
    pub(super) samples: Vec<Sample>,
}

impl Then {
    /// Panics when the handler failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        if let Err(failure) = &self.result {
            panic!("the handler failed: {failure:?}");
        }
        self
    }

    /// How the handler failed; none when it did not.
    pub fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }

    /// The emitted events, in order.
    pub fn emitted(&self) -> &[Emission] {
        self.result.as_ref().map_or(&[], |effects| &effects.emit)
    }

    /// The types of the emitted events, in order.
    pub fn types(&self) -> Vec<&str> {
        self.emitted()
            .iter()
            .map(|emission| emission.event_type.as_str())
            .collect()
    }

    /// The data of every emitted event of one type. Panics on data of another
    /// shape.
    #[track_caller]
    pub fn data<T: DeserializeOwned>(&self, event_type: &str) -> Vec<T> {
        let of_type = self
            .emitted()
            .iter()
            .filter(|emission| emission.event_type == event_type);
        of_type
            .map(|emission| match decode(&emission.data) {
                Ok(data) => data,
                Err(error) => panic!("the data of {event_type}: {error}"),
            })
            .collect()
    }

    /// What became of the state; none when the handler failed.
    pub fn state_change(&self) -> Option<&StateChange> {
        self.result.as_ref().ok().map(|effects| &effects.state)
    }

    /// The calls made, in order, with their outcomes.
    pub fn calls(&self) -> &[(Call, Outcome)] {
        &self.calls
    }

    /// Method and path of the calls made, in order.
    pub fn targets(&self) -> Vec<String> {
        self.calls.iter().map(|(call, _)| call.target()).collect()
    }

    /// The log lines written, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The measurements taken, in order.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}
