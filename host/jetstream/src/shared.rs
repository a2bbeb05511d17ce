//! A durable consumer that several hosts pull from, each event acknowledged.
//!
//! For handlers without order. The broker redelivers what is not acknowledged
//! in time, so an event may come twice, also while its first delivery is still
//! being worked on; whoever handles it must recognise it.
//!
//! The consumer itself is made by somebody else. When it is gone this says so,
//! and goes on once it is there again.

mod bind;

use crate::api::Api;
use crate::connection::Links;
use crate::error::Error;
use crate::pull::session::{Mode, Session, Signal};
use crate::pull::{AckToken, Credit, Delivery, End, Pace};
use bind::{Bound, Failure, Found, Plan, Scan};
use futures_util::future::BoxFuture;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

const RETRY: Duration = Duration::from_secs(1);
const JITTER: Duration = Duration::from_millis(250);

/// What a shared consumer yields.
#[derive(Debug)]
pub enum Event {
    /// With its token, which must be used in the end.
    Delivery(Delivery),
    /// There was a break; what was delivered and not acknowledged before it is
    /// still ours, and may come again.
    Resumed { reason: End },
    /// Pulling is not possible just now; it is tried again.
    Unavailable { error: Error },
    /// The stream or the consumer does not exist any more, or the stream was
    /// made again. Looked for again with each call, at most once a second.
    Gone,
    /// Pulling was stopped and nothing can arrive any more. Reported once.
    Lapsed,
}

/// One host's share of a durable consumer.
pub struct SharedConsumer {
    links: Links,
    api: Api,
    bound: Bound,
    pace: Pace,
    credit: Credit,
    mode: Mode,
    phase: Phase,
    ready: VecDeque<Event>,
    reason: Option<End>,
    not_before: Instant,
    broken: Option<Instant>,
    /// Some: messages that the client cannot parse are looked for from there.
    scan: Option<Scan>,
}

enum Phase {
    Resting,
    Binding(BoxFuture<'static, Result<Bound, Failure>>),
    Pulling(Box<Session>),
    Scanning(BoxFuture<'static, Result<Found, Error>>),
    Lapsed,
}

impl SharedConsumer {
    /// Binds to an existing consumer with explicit acknowledgement.
    ///
    /// # Errors
    /// `Api` with code 10014 or 10059 when there is no such consumer or
    /// stream; whatever a request can end with.
    ///
    /// # Panics
    /// When the pace is out of bounds.
    pub async fn bind(
        links: Links,
        stream: &str,
        durable: &str,
        pace: Pace,
    ) -> Result<Self, Error> {
        pace.assert_valid();
        let api = Api::new(links.control.clone());
        let plan = Plan::new(api.clone(), stream, durable);
        let bound = bind::bind(plan).await.map_err(|failure| match failure {
            Failure::Broker(error) => error,
            Failure::Gone => bind::not_found(stream, durable),
        })?;
        Ok(Self {
            links,
            api,
            bound,
            pace,
            credit: Credit::default(),
            mode: Mode::Pulling,
            phase: Phase::Resting,
            ready: VecDeque::new(),
            reason: None,
            not_before: Instant::now(),
            broken: None,
            scan: None,
        })
    }

    /// Lets so much more be delivered. Events and bytes ([`Delivery::bytes`])
    /// both bound it; one delivery may overdraw the bytes.
    pub fn grant(&mut self, events: u64, bytes: u64) {
        self.credit.grant(events, bytes);
    }

    /// Asks for no more. What is asked for already goes on arriving until
    /// [`Event::Lapsed`]: the broker has no way to take a pull back.
    pub fn stop_pulling(&mut self) {
        self.mode = Mode::Stopped;
    }

    /// Stops pulling, waits until nothing can arrive any more, and hands over
    /// what arrived in the meantime.
    ///
    /// # Cancel safety
    /// What arrived is lost to this process, and redelivered.
    pub async fn lapsed(&mut self) -> Vec<Delivery> {
        self.stop_pulling();
        let mut late = Vec::new();
        while !matches!(self.phase, Phase::Lapsed) {
            if let Event::Delivery(delivery) = self.next().await {
                late.push(delivery);
            }
        }
        late.extend(self.ready.drain(..).filter_map(|event| match event {
            Event::Delivery(delivery) => Some(delivery),
            _ => None,
        }));
        late
    }

    /// Gives deliveries back that nobody began to handle, the earliest first,
    /// so that they come to another host in stream order.
    ///
    /// # Panics
    /// Before pulling has lapsed: they would come straight back.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn release(&mut self, mut tokens: Vec<AckToken>) -> Result<(), Error> {
        assert!(
            matches!(self.phase, Phase::Lapsed),
            "released while pulling"
        );
        tokens.sort_by_key(AckToken::sequence);
        for token in tokens {
            token.release().await?;
        }
        self.links
            .consume
            .client()
            .flush()
            .await
            .map_err(|_| Error::Closed)
    }

    /// The next event. Without credit, or after `Lapsed`, it waits until it is
    /// dropped.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost, and what is under way goes on with the next call.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return event;
            }
            match &mut self.phase {
                Phase::Resting => self.rest().await,
                Phase::Binding(binding) => {
                    let outcome = binding.await;
                    self.bound(outcome).await;
                }
                Phase::Scanning(scanning) => {
                    let outcome = scanning.await;
                    self.scanned(outcome);
                }
                Phase::Pulling(session) => {
                    let signal = session.next(&self.credit, self.mode).await;
                    self.hear(signal);
                }
                Phase::Lapsed => std::future::pending().await,
            }
        }
    }

    async fn rest(&mut self) {
        if self.mode == Mode::Stopped {
            self.lapse();
            return;
        }
        tokio::time::sleep_until(self.not_before).await;
        self.links.consume.connected().await;
        let origin = &self.bound.origin;
        let plan = Plan::new(self.api.clone(), &origin.stream, &self.bound.durable);
        self.phase = Phase::Binding(Box::pin(bind::bind(plan)));
    }

    async fn bound(&mut self, outcome: Result<Bound, Failure>) {
        self.phase = Phase::Resting;
        self.not_before = Instant::now() + RETRY;
        match outcome {
            Err(Failure::Broker(error)) => self.ready.push_back(Event::Unavailable { error }),
            Err(Failure::Gone) => self.ready.push_back(Event::Gone),
            Ok(bound) if bound.origin != self.bound.origin => {
                // Reported once; the next attempt accepts the new stream.
                self.bound = bound;
                self.ready.push_back(Event::Gone);
            }
            Ok(bound) => {
                self.bound = bound;
                match self.scan.take() {
                    Some(scan) => self.begin_scan(scan),
                    None => self.begin_pulling().await,
                }
            }
        }
    }

    async fn begin_pulling(&mut self) {
        let consume = std::sync::Arc::new(self.links.consume.clone());
        let source = self.bound.source(consume.max_payload());
        match Session::start(consume, source, self.pace).await {
            Ok(session) => {
                self.phase = Phase::Pulling(Box::new(session));
                if let Some(reason) = self.reason.take() {
                    self.ready.push_back(Event::Resumed { reason });
                }
            }
            Err(error) => self.ready.push_back(Event::Unavailable { error }),
        }
    }

    fn begin_scan(&mut self, scan: Scan) {
        let find = bind::find(self.api.clone(), self.bound.clone(), scan);
        self.phase = Phase::Scanning(Box::pin(find));
    }

    /// Hands out what was found; then looks on, or pulls again.
    fn scanned(&mut self, outcome: Result<Found, Error>) {
        self.phase = Phase::Resting;
        self.not_before = Instant::now();
        match outcome {
            Ok(found) => {
                let link = std::sync::Arc::new(self.links.consume.clone());
                for message in found.messages {
                    let delivery = self.bound.delivery(&link, message);
                    self.credit.spend(&delivery);
                    self.ready.push_back(Event::Delivery(delivery));
                }
                self.scan = found.rest;
            }
            Err(error) => {
                self.not_before += RETRY;
                self.ready.push_back(Event::Unavailable { error });
            }
        }
    }

    fn hear(&mut self, signal: Signal) {
        match signal {
            Signal::Delivered { delivery, .. } => {
                self.credit.spend(&delivery);
                self.ready.push_back(Event::Delivery(delivery));
            }
            Signal::Heartbeat { .. } => {}
            Signal::Lapsed => self.lapse(),
            Signal::Ended(end) => self.ended(end),
        }
    }

    fn ended(&mut self, end: End) {
        let now = Instant::now();
        let pause = match &end {
            End::ConnectionLost => {
                self.suspect(now);
                Duration::ZERO
            }
            End::Silent | End::Moved | End::Deleted => Duration::ZERO,
            End::NoResponders | End::Refused { .. } | End::Unplaced { .. } | End::Closed => RETRY,
        };
        self.phase = Phase::Resting;
        self.not_before = now + pause + JITTER.mul_f64(rand::random_range(0.0..1.0));
        self.reason = Some(end);
    }

    /// A message that the client cannot parse breaks the connection, takes
    /// what was behind it along, and comes again after the ack wait. So two
    /// breaks within two ack waits raise the suspicion that there is one.
    fn suspect(&mut self, now: Instant) {
        let window = self.bound.ack_wait * 2 + RETRY;
        if self
            .broken
            .is_some_and(|before| now.duration_since(before) <= window)
        {
            self.scan = Some(self.scan.take().unwrap_or_default());
        }
        self.broken = Some(now);
    }

    fn lapse(&mut self) {
        self.phase = Phase::Lapsed;
        self.ready.push_back(Event::Lapsed);
    }
}
