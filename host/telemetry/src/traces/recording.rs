//! What is kept of one event until its spans are written.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use wharf_core::outcome::CallResult;
use wharf_core::trace::Context;

use super::Source;
use super::otlp::Message;

/// An event that is handled at once has no more.
const CHILDREN_USUALLY: usize = 6;

/// Spans below one event: a lane may hold one for an hour, and try it often.
pub(super) const CHILDREN_MAX: usize = 256;

/// The event that a trace is about. Names and ids, never its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About<'a> {
    /// When this host took the event in.
    pub began: Instant,
    /// The subject, or a timer's name.
    pub destination: &'a str,
    /// What of it does not grow with the traffic: the subscription's pattern.
    pub template: Option<&'a str>,
    pub message_id: &'a str,
    pub key: &'a str,
    /// 0 where there is none: a timer.
    pub sequence: u64,
}

/// A part of the way of an event, as its spans are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It waited in its lane behind earlier events, or for its turn.
    LaneWait,
    Load,
    /// It waited for its next attempt.
    Hold,
    Commit,
    /// Its emissions went out, so many of them.
    Publish(usize),
    /// It was put into the ledger as dead or queued.
    Park,
    Settle,
}

/// One attempt, as it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1, as the handler saw it.
    pub number: u32,
    /// Of the handler, as its deployment counts them.
    pub version: u32,
    /// As `wharf_attempts_total` names it.
    pub result: &'static str,
    /// The failure's code; none when it succeeded.
    pub error: Option<String>,
    pub calls: Vec<Call>,
}

/// One call of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub span_id: u64,
    pub began: Instant,
    pub ended: Instant,
    pub need: String,
    pub method: String,
    /// Address and port.
    pub server: Option<(String, u16)>,
    pub status: Option<u16>,
    pub result: CallResult,
}

/// A span below the event's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) began: Instant,
    pub(super) ended: Instant,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    Phase(Phase),
    /// Its id is known early: calls name it.
    Attempt(u64, Box<Attempt>),
}

/// An event while it is worked on.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) source: Arc<Source>,
    pub(super) context: Context,
    pub(super) began: Instant,
    /// What of its own span is known from the beginning, written already.
    pub(super) opening: Message,
    pub(super) children: SmallVec<[Child; CHILDREN_USUALLY]>,
    /// Spans of `children`, calls included.
    pub(super) spans: usize,
    /// Spans beyond [`CHILDREN_MAX`].
    pub(super) cut: usize,
    /// The code under which it was given up.
    pub(super) death: Option<String>,
}

impl Recording {
    /// Whether anything has happened beside waiting.
    pub(super) fn is_begun(&self) -> bool {
        !self.children.is_empty()
    }

    /// A phase right behind one of its kind makes that longer: a record that is
    /// looked at twice is loaded once.
    pub(super) fn phase(&mut self, phase: Phase, began: Instant, ended: Instant) {
        match self.children.last_mut() {
            Some(last) if last.what == What::Phase(phase) => last.ended = ended,
            _ => self.push(Child {
                began,
                ended,
                what: What::Phase(phase),
            }),
        }
    }

    pub(super) fn push(&mut self, child: Child) {
        let spans = child.what.spans();
        if self.spans + spans > CHILDREN_MAX {
            self.cut += spans;
            return;
        }
        self.spans += spans;
        self.children.push(child);
    }
}

impl What {
    fn spans(&self) -> usize {
        match self {
            Self::Phase(_) => 1,
            Self::Attempt(_, attempt) => 1 + attempt.calls.len(),
        }
    }
}
