//! Needs that answer as the test says.

use crate::codec::encode;
pub use crate::wire::http::Response as Answer;
use crate::wire::http::{CallError, Request};
use serde::{Serialize, de::DeserializeOwned};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// What a need does with a call.
pub type Outcome = Result<Answer, CallError>;

type Behaviour = Box<dyn FnMut(&Call) -> Outcome>;

/// A call that a handler made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The need, by its name in the manifest.
    pub need: String,
    /// Method, path, headers and body.
    pub request: Request,
}

impl Call {
    /// Method and path, such as `POST /charges`.
    pub fn target(&self) -> String {
        format!("{} {}", self.request.method, self.request.path)
    }

    /// The body as a value. Panics when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        let target = self.target();
        crate::codec::decode(&self.request.body)
            .unwrap_or_else(|error| panic!("the body of {target}: {error}"))
    }
}

/// An answer with a JSON body.
pub fn answer<T: Serialize + ?Sized>(status: u16, body: &T) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: encode(body),
    }
}

/// Answers one call after another from a list, and panics at one call more.
pub fn scripted(outcomes: impl IntoIterator<Item = Outcome>) -> Box<dyn FnMut(&Call) -> Outcome> {
    let mut outcomes: VecDeque<_> = outcomes.into_iter().collect();
    Box::new(move |call| {
        let next = outcomes.pop_front();
        next.unwrap_or_else(|| panic!("the script has no answer left for {}", call.target()))
    })
}

/// All needs of an entity.
#[derive(Default, Clone)]
pub(super) struct Needs(Rc<RefCell<BTreeMap<String, Behaviour>>>);

impl Needs {
    pub(super) fn add(&self, name: &str, behaviour: impl FnMut(&Call) -> Outcome + 'static) {
        self.0
            .borrow_mut()
            .insert(name.to_owned(), Box::new(behaviour));
    }

    pub(super) fn answer(&self, call: &Call) -> Outcome {
        let mut needs = self.0.borrow_mut();
        let Some(behaviour) = needs.get_mut(&call.need) else {
            panic!(
                "{} of need `{}`: say with `Entity::need` what it answers",
                call.target(),
                call.need
            )
        };
        behaviour(call)
    }
}
