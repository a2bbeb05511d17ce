//! One call of a handler, made twice: live, and again from the record.

use super::host::{self, Context};
use super::needs::{Call, Needs, Outcome};
use super::then::{Line, Sample};
use crate::failure::Failure;
use crate::run::Handler;
use crate::wire::{Effects, Event};
use std::collections::BTreeMap;

/// What one attempt did.
pub(super) struct Attempt {
    pub(super) result: Result<Effects, Failure>,
    pub(super) calls: Vec<(Call, Outcome)>,
    pub(super) lines: Vec<Line>,
    pub(super) samples: Vec<Sample>,
}

/// Runs a handler, and panics when a second run with the same answers differs.
pub(super) fn run<H: Handler>(
    event: &Event,
    data: &[u8],
    state: Option<&[u8]>,
    needs: &Needs,
    config: &BTreeMap<String, String>,
) -> Attempt {
    let once = |needs: Needs| {
        let context = Context::new(needs, config.clone());
        host::with(context, || {
            H::handle(event, data.to_vec(), state.map(<[u8]>::to_vec))
        })
    };
    let (result, context) = once(needs.clone());
    let (again, _) = once(recorded(&context.calls));
    assert_eq!(
        result, again,
        "the handler is not deterministic: `{}` handled twice with the same answers came out differently",
        event.event_type
    );
    Attempt {
        result,
        calls: context.calls,
        lines: context.lines,
        samples: context.samples,
    }
}

/// Needs that answer what they answered before, to the same calls.
fn recorded(calls: &[(Call, Outcome)]) -> Needs {
    let needs = Needs::default();
    for name in calls.iter().map(|(call, _)| &call.need) {
        let mut left: Vec<_> = calls
            .iter()
            .filter(|(call, _)| call.need == *name)
            .rev()
            .cloned()
            .collect();
        needs.add(name, move |call| {
            let before = left.pop();
            assert_eq!(
                Some(call),
                before.as_ref().map(|(call, _)| call),
                "the handler is not deterministic: it called otherwise in its second run"
            );
            before.map_or_else(|| unreachable!("compared above"), |(_, outcome)| outcome)
        });
    }
    needs
}
