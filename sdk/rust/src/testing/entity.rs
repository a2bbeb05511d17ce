//! One entity of a handler, from event to event.

use super::needs::{Call, Needs, Outcome};
use super::{Bounds, Delivery, Then, attempt};
use crate::codec::State;
use crate::run::Handler;
use crate::wire::{Due, Effects, Event, StateChange, TimerChange};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

const TIMERS_MAX: usize = 16;

/// One entity: its state, its timers, its clock, and the needs around it.
pub struct Entity<H> {
    key: String,
    now_ms: u64,
    sequence: u64,
    state: Option<Vec<u8>>,
    /// Due time and data, by name.
    timers: BTreeMap<String, (u64, Vec<u8>)>,
    needs: Needs,
    config: BTreeMap<String, String>,
    bounds: Bounds,
    handler: PhantomData<H>,
}

impl<H: Handler> Entity<H> {
    /// An entity without state or timers, on a fixed day in 2026.
    pub fn new(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            now_ms: 1_790_000_000_000,
            sequence: 0,
            state: None,
            timers: BTreeMap::new(),
            needs: Needs::default(),
            config: BTreeMap::new(),
            bounds: Bounds::default(),
            handler: PhantomData,
        }
    }

    /// Given this state.
    #[must_use]
    pub fn given<S: State>(self, state: &S) -> Self {
        self.given_bytes(state.encode())
    }

    /// Given these bytes as the stored state.
    #[must_use]
    pub fn given_bytes(mut self, state: impl Into<Vec<u8>>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// Given a setting.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.insert(name.into(), value.into());
        self
    }

    /// Given a need that behaves like this. See [`scripted`](super::scripted) for
    /// a list of answers.
    #[must_use]
    pub fn need(self, name: &str, behaviour: impl FnMut(&Call) -> Outcome + 'static) -> Self {
        self.needs.add(name, behaviour);
        self
    }

    /// Given other limits than the default.
    #[must_use]
    pub fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Lets time pass. Timers fire by [`Entity::fire`] only.
    pub fn pass(&mut self, time: Duration) {
        self.now_ms += u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    }

    /// When an event arrives. Effects are applied unless the handler fails.
    ///
    /// # Panics
    /// As the component would trap; on effects that the host would not accept;
    /// and when a second run of the handler differs.
    #[track_caller]
    #[must_use = "look at what came of it, or say `.ok()`"]
    pub fn when(&mut self, delivery: Delivery) -> Then {
        self.sequence += 1;
        let (event, data) = delivery.arrive(&self.key, self.now_ms, self.sequence);
        self.handle(&event, &data)
    }

    /// When a timer comes due: moves the clock there. The timer is gone, unless
    /// the handler fails.
    ///
    /// # Panics
    /// When the timer is not set; and as [`Entity::when`].
    #[track_caller]
    #[must_use = "look at what came of it, or say `.ok()`"]
    pub fn fire(&mut self, name: &str) -> Then {
        let Some((due_ms, data)) = self.timers.remove(name) else {
            panic!("no timer `{name}` is set, only {:?}", self.timers.keys())
        };
        self.now_ms = self.now_ms.max(due_ms);
        let delivery = super::bytes(format!("wharf.timer.{name}"), data.clone());
        let (event, _) =
            delivery
                .id(format!("timer/{name}/{due_ms}"))
                .arrive(&self.key, self.now_ms, 0);
        let then = self.handle(
            &Event {
                source: "wharf".to_owned(),
                ..event
            },
            &data,
        );
        if then.failure().is_some() {
            self.timers.insert(name.to_owned(), (due_ms, data));
        }
        then
    }

    /// The state; none when there is none. Panics when it is of another type.
    #[track_caller]
    pub fn state<S: State>(&self) -> Option<S> {
        self.state.as_deref().map(|bytes| match S::decode(bytes) {
            Ok(state) => state,
            Err(error) => panic!("the state is not a {}: {error}", std::any::type_name::<S>()),
        })
    }

    /// The stored bytes of the state.
    pub fn state_bytes(&self) -> Option<&[u8]> {
        self.state.as_deref()
    }

    /// How long from now each timer is due, by name.
    pub fn timers(&self) -> BTreeMap<&str, Duration> {
        let left = |due_ms: u64| Duration::from_millis(due_ms.saturating_sub(self.now_ms));
        self.timers
            .iter()
            .map(|(name, (due_ms, _))| (name.as_str(), left(*due_ms)))
            .collect()
    }

    /// Milliseconds since 1970, by the entity's clock.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The entity's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    #[track_caller]
    fn handle(&mut self, event: &Event, data: &[u8]) -> Then {
        let attempt = attempt::run::<H>(
            event,
            data,
            self.state.as_deref(),
            &self.needs,
            &self.config,
        );
        self.bounds.hold(&attempt.result);
        if let Ok(effects) = &attempt.result {
            self.apply(effects);
        }
        Then {
            result: attempt.result,
            calls: attempt.calls,
            lines: attempt.lines,
            samples: attempt.samples,
        }
    }

    #[track_caller]
    fn apply(&mut self, effects: &Effects) {
        match &effects.state {
            StateChange::Keep => {}
            StateChange::Put(state) => self.state = Some(state.clone()),
            StateChange::Delete => self.state = None,
        }
        for change in &effects.timers {
            match change {
                TimerChange::Cancel(name) => {
                    self.timers.remove(name);
                }
                TimerChange::Set(timer) => {
                    let due_ms = match timer.due {
                        Due::AfterMs(delay) => self.now_ms + delay,
                        Due::AtMs(time) => time,
                    };
                    self.timers
                        .insert(timer.name.clone(), (due_ms, timer.data.clone()));
                }
            }
        }
        assert!(
            self.timers.len() <= TIMERS_MAX,
            "an entity has at most {TIMERS_MAX} timers"
        );
    }
}
