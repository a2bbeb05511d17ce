//! Label values: closed sets, so that no label grows with the traffic.

use std::marker::PhantomData;

use wharf_core::contract::Failure;
use wharf_core::judge::HoldReason;
use wharf_core::outcome::{CallResult, GuestFaultKind, Outcome};

/// The values of one label.
pub(super) trait Label: Copy + 'static {
    const ALL: &'static [Self];
    /// Its place in `ALL`.
    fn index(self) -> usize;
    fn name(self) -> &'static str;
}

/// A metric for every value of a label.
#[derive(Debug)]
pub(super) struct ByLabel<L, M> {
    metrics: Vec<M>,
    label: PhantomData<L>,
}

impl<L: Label, M> ByLabel<L, M> {
    pub(super) fn new(make: impl FnMut(&'static str) -> M) -> Self {
        let metrics = L::ALL.iter().map(|label| label.name()).map(make).collect();
        Self {
            metrics,
            label: PhantomData,
        }
    }

    pub(super) fn get(&self, label: L) -> &M {
        &self.metrics[label.index()]
    }
}

/// An enum whose cases are the values of a label.
macro_rules! label {
    (
        $(#[$doc:meta])*
        $visibility:vis enum $label:ident { $($(#[$case_doc:meta])* $case:ident = $name:expr,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $visibility enum $label { $($(#[$case_doc])* $case,)* }

        impl Label for $label {
            const ALL: &'static [Self] = &[$(Self::$case),*];

            fn index(self) -> usize {
                self as usize
            }

            fn name(self) -> &'static str {
                match self { $(Self::$case => $name,)* }
            }
        }
    };
}

label! {
    /// What became of a delivery.
    pub enum EventOutcome {
        Committed = "committed",
        /// It had been committed before.
        Duplicate = "duplicate",
        /// Its type is not among those that the subscription names.
        Ignored = "ignored",
        /// Parked for a person.
        Dead = "dead",
        /// Parked behind an earlier event of its key.
        Queued = "queued",
        /// Given back: drain, swap, lost ownership. It will come again.
        Released = "released",
    }
}

label! {
    /// Where an event that does not move stands: exactly one of these.
    pub enum UnsettledState {
        /// An attempt runs, or its commit and publishing do.
        InFlight = "in-flight",
        /// It waits in its lane for an earlier event of its key, or for a permit.
        Held = "held",
        /// Parked behind an earlier event of its key that is in trouble.
        Queued = "queued",
        Retrying = HoldReason::Retrying.name(),
        WaitingNeed = HoldReason::WaitingNeed.name(),
        NotReady = HoldReason::NotReady.name(),
        /// A dead letter.
        Dead = "dead",
        /// Committed, and an emission is refused for good.
        OutboxBlocked = "outbox-blocked",
        /// Its handler is paused.
        Paused = "paused",
    }
}

impl EventOutcome {
    /// As metrics and spans name it.
    pub fn as_str(self) -> &'static str {
        self.name()
    }
}

impl From<HoldReason> for UnsettledState {
    fn from(reason: HoldReason) -> Self {
        match reason {
            HoldReason::Retrying => Self::Retrying,
            HoldReason::WaitingNeed => Self::WaitingNeed,
            HoldReason::NotReady => Self::NotReady,
        }
    }
}

label! {
    /// Why a reader of a log was replaced.
    pub enum ReopenReason {
        /// The consumer's sequence was not the previous one and one more.
        Gap = "gap",
        /// A heartbeat told of a delivery that never came.
        HeartbeatMismatch = "heartbeat-mismatch",
        HeartbeatMissed = "heartbeat-missed",
        /// The connection was lost and came back.
        Reconnected = "reconnected",
        /// The server no longer knows the consumer.
        ConsumerGone = "consumer-gone",
    }
}

label! {
    /// Why no collector will see a span.
    pub enum SpanLoss {
        /// More waited than may wait.
        QueueFull = "queue-full",
        /// The collector did not take its batch.
        NotTaken = "not-taken",
        /// Its event has more spans than one may have.
        TooMany = "too-many",
    }
}

label! {
    /// [`CallResult`] without the status, which is the need's own to choose.
    pub(super) enum CallLabel {
        Answered = "answered",
        FailureStatus = "failure-status",
        NotSent = "not-sent",
        UnknownOutcome = "unknown-outcome",
        Refused = "refused",
        TooLarge = "too-large",
    }
}

impl From<CallResult> for CallLabel {
    fn from(result: CallResult) -> Self {
        match result {
            CallResult::Answered => Self::Answered,
            CallResult::FailureStatus(_) => Self::FailureStatus,
            CallResult::NotSent => Self::NotSent,
            CallResult::UnknownOutcome => Self::UnknownOutcome,
            CallResult::Refused => Self::Refused,
            CallResult::TooLarge => Self::TooLarge,
        }
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    Done,
    Retry,
    Reject,
    Unavailable,
    NotReady,
    /// The label is the kind's own code.
    GuestFault(GuestFaultKind),
    HostFault,
    Cancelled,
}

impl AttemptResult {
    /// The result that an outcome counts as.
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done(_) => Self::Done,
            Outcome::Failed(Failure::Retry(_)) => Self::Retry,
            Outcome::Failed(Failure::Reject(_)) => Self::Reject,
            Outcome::Failed(Failure::Unavailable(_)) => Self::Unavailable,
            Outcome::Failed(Failure::NotReady(_)) => Self::NotReady,
            Outcome::GuestFault(fault) => Self::GuestFault(fault.kind),
            Outcome::HostFault(_) => Self::HostFault,
            Outcome::Cancelled => Self::Cancelled,
        }
    }

    /// As metrics and spans name it.
    pub fn as_str(self) -> &'static str {
        self.name()
    }
}

impl Label for AttemptResult {
    const ALL: &'static [Self] = &[
        Self::Done,
        Self::Retry,
        Self::Reject,
        Self::Unavailable,
        Self::NotReady,
        Self::HostFault,
        Self::Cancelled,
        Self::GuestFault(GuestFaultKind::Trap),
        Self::GuestFault(GuestFaultKind::Exit),
        Self::GuestFault(GuestFaultKind::CpuTime),
        Self::GuestFault(GuestFaultKind::WallTime),
        Self::GuestFault(GuestFaultKind::Memory),
        Self::GuestFault(GuestFaultKind::BadOutput),
        Self::GuestFault(GuestFaultKind::Migration),
    ];

    fn index(self) -> usize {
        match self {
            Self::Done => 0,
            Self::Retry => 1,
            Self::Reject => 2,
            Self::Unavailable => 3,
            Self::NotReady => 4,
            Self::HostFault => 5,
            Self::Cancelled => 6,
            Self::GuestFault(kind) => 7 + kind as usize,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Unavailable => "unavailable",
            Self::NotReady => "not-ready",
            Self::GuestFault(kind) => kind.code(),
            Self::HostFault => "host-fault",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Debug;

    use super::*;

    fn assert_closed<L: Label + Debug>() {
        for (index, label) in L::ALL.iter().enumerate() {
            assert_eq!(label.index(), index, "{label:?}");
        }
        let names: BTreeSet<&str> = L::ALL.iter().map(|label| label.name()).collect();
        assert_eq!(names.len(), L::ALL.len(), "{names:?}");
    }

    #[test]
    fn every_label_value_has_a_name_of_its_own_and_stands_at_its_index() {
        assert_closed::<EventOutcome>();
        assert_closed::<AttemptResult>();
        assert_closed::<UnsettledState>();
        assert_closed::<ReopenReason>();
        assert_closed::<CallLabel>();
        assert_closed::<SpanLoss>();
    }
}
