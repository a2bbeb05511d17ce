//! The span of one event, while it lasts.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Instant;

use pin_project_lite::pin_project;
use smallvec::SmallVec;
use wharf_core::trace::Context;

use super::recording::{About, Attempt, Child, Phase, Recording, What};
use super::{Source, random_span_id, span_data};
use crate::metrics::EventOutcome;

/// The trace of one event. Dropped before [`Trace::end`], it tells of a
/// released event, unless that has only waited.
#[derive(Debug, Default)]
pub struct Trace(Option<Open>);

#[derive(Debug)]
struct Open {
    context: Context,
    /// None when the trace is not sampled. Emptied by the end.
    recording: Option<Mutex<Option<Box<Recording>>>>,
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy)]
pub struct AttemptSpan {
    /// What the attempt's calls are below of.
    pub context: Context,
    began: Instant,
}

pin_project! {
    /// Work below a span of its own: see [`Trace::span`]. Held once, where an
    /// `async fn` would hold it as its argument and again while it waits.
    pub struct Spanned<'a, W> {
        trace: &'a Trace,
        phase: Phase,
        began: Option<Instant>,
        #[pin]
        work: W,
    }
}

impl Trace {
    /// Records nothing and has no context.
    pub fn off() -> Self {
        Self::default()
    }

    pub(super) fn begin(
        source: &Arc<Source>,
        context: Context,
        parent: Option<u64>,
        about: &About<'_>,
    ) -> Self {
        let recording = context.is_sampled().then(|| {
            Mutex::new(Some(Box::new(Recording {
                source: source.clone(),
                context,
                began: about.began,
                opening: span_data::opening(context, parent, about),
                children: SmallVec::new(),
                spans: 0,
                cut: 0,
                death: None,
            })))
        });
        Self(Some(Open { context, recording }))
    }

    /// The event's own span: what its emissions name as their parent. None when
    /// traces are off.
    pub fn context(&self) -> Option<Context> {
        self.0.as_ref().map(|open| open.context)
    }

    /// Whether spans are kept; what only they need can be left out otherwise.
    pub fn is_recording(&self) -> bool {
        self.recording().is_some()
    }

    /// The event leaves its lane's line: what was before was waiting. Said once.
    pub fn waited(&self) {
        self.record(|recording| {
            if !recording.is_begun() {
                recording.phase(Phase::LaneWait, recording.began, Instant::now());
            }
        });
    }

    /// A span of this phase around `work`. None of a work that is dropped.
    pub fn span<W: Future>(&self, phase: Phase, work: W) -> Spanned<'_, W> {
        Spanned {
            trace: self,
            phase,
            began: None,
            work,
        }
    }

    /// A span of this phase that ends now.
    pub fn since(&self, phase: Phase, began: Instant) {
        self.record(|recording| recording.phase(phase, began, Instant::now()));
    }

    /// Begins an attempt. None when traces are off.
    pub fn attempt(&self) -> Option<AttemptSpan> {
        let context = self.context()?;
        let context = match self.is_recording() {
            true => context.with_span(random_span_id()),
            false => context,
        };
        let began = Instant::now();
        Some(AttemptSpan { context, began })
    }

    /// The attempt is over, now. `attempt` is asked only when it is recorded.
    pub fn attempted(&self, span: Option<AttemptSpan>, attempt: impl FnOnce(Instant) -> Attempt) {
        let Some(AttemptSpan { context, began }) = span else {
            return;
        };
        self.record(|recording| {
            let ended = Instant::now();
            recording.push(Child {
                began,
                ended,
                what: What::Attempt(context.span_id, Box::new(attempt(ended))),
            });
        });
    }

    /// What the last attempt came to was no good after all.
    pub fn refused(&self, result: &'static str) {
        self.record(|recording| {
            let last = recording.children.last_mut().map(|child| &mut child.what);
            if let Some(What::Attempt(_, attempt)) = last {
                attempt.result = result;
                attempt.error = Some(result.to_owned());
            }
        });
    }

    /// The event is given up, under this code.
    pub fn died(&self, code: &str) {
        self.record(|recording| recording.death = Some(code.to_owned()));
    }

    /// The event is settled, and its span ends. One of a type that the handler
    /// does not listen to has none.
    pub fn end(&self, outcome: EventOutcome) {
        if let Some(recording) = self.take()
            && !(outcome == EventOutcome::Ignored && recording.children.len() <= 1)
        {
            recording.source.shared.queue.push(&recording, outcome);
        }
    }

    fn recording(&self) -> Option<&Mutex<Option<Box<Recording>>>> {
        self.0.as_ref()?.recording.as_ref()
    }

    fn lock(&self) -> Option<MutexGuard<'_, Option<Box<Recording>>>> {
        let recording = self.recording()?;
        Some(recording.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, change: impl FnOnce(&mut Recording)) {
        if let Some(mut recording) = self.lock()
            && let Some(recording) = recording.as_mut()
        {
            change(recording);
        }
    }

    fn take(&self) -> Option<Box<Recording>> {
        self.lock()?.take()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Some(recording) = self.take().filter(|recording| recording.is_begun()) {
            let queue = &recording.source.shared.queue;
            queue.push(&recording, EventOutcome::Released);
        }
    }
}

impl<W: Future> Future for Spanned<'_, W> {
    type Output = W::Output;

    fn poll(self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<W::Output> {
        let this = self.project();
        if this.began.is_none() && this.trace.is_recording() {
            *this.began = Some(Instant::now());
        }
        let done = ready!(this.work.poll(context));
        if let Some(began) = *this.began {
            this.trace.since(*this.phase, began);
        }
        Poll::Ready(done)
    }
}
