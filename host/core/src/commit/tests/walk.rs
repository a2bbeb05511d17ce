//! Random walks of one entity through admission and commit.
//!
//! The walk plays the host: it reads the log into a lane, spills what the lane
//! does not hold, works queues off, resolves dead heads as a person would, and
//! dies between any two steps, which leaves it the record, the entries and an
//! older checkpoint. It keeps the host's rules: record before entry before
//! settling, entries in order, and no work on a queue before everything up to
//! its end has been read again and has left the lane.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::admit::Duplicate;
use crate::ids::{ContentHash, EventHash};

const WALKS: u64 = 10_000;
const EVENTS: u64 = 24;
const STEPS_MAX: usize = 4_000;
const LANE_MAX: usize = 3;

/// What has to happen in some walk, or the walks show nothing.
const PATHS: [&str; 13] = [
    "below-cursor",
    "committed",
    "conflict",
    "crashed",
    "dead",
    "dead-entry",
    "held",
    "known-id",
    "queue",
    "rewrite",
    "rewrite-dead",
    "skipped",
    "spilled",
];

#[test]
fn whatever_is_repeated_lost_or_parked_every_event_ends_settled_in_order_and_none_commits_twice() {
    let mut paths = BTreeSet::new();
    for seed in 0..WALKS {
        let mut walk = Walk::new(seed);
        walk.run();
        paths.append(&mut walk.paths);
    }
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), PATHS);
}

/// A linear congruential generator: the same walks on every machine.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The process died.
#[derive(Debug)]
struct Crash;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Log,
    Queue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The event stays where it is.
    Waits,
    Over,
}

struct Walk {
    seed: u64,
    random: Lcg,
    on_dead: OnDead,
    dedup: Dedup,
    /// The event at each sequence, from 1; ids and contents repeat.
    log: Vec<(EventHash, ContentHash)>,
    record: Option<Record>,
    entries: BTreeSet<u64>,
    watermark: u64,
    /// Lost in a crash, like the lane and what is settled above the watermark.
    read: u64,
    lane: VecDeque<u64>,
    settled: BTreeSet<u64>,
    /// No more crashes and failures: whatever was left must now come to an end.
    calm: bool,
    /// What has truly happened: sequences that are done for good, ids that were
    /// committed, and ids of which a sequence is done for good.
    finished: BTreeSet<u64>,
    committed: BTreeSet<EventHash>,
    known: BTreeSet<EventHash>,
    paths: BTreeSet<&'static str>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut random = Lcg(seed);
        let on_dead = if random.chance(50) {
            OnDead::Block
        } else {
            OnDead::Continue
        };
        // Either ids come again and all are remembered, or hardly any is and the
        // cursor alone must tell what was done.
        let (again, remember) = if random.chance(50) { (25, 32) } else { (0, 1) };
        let log = published(&mut random, again);
        Self {
            seed,
            random,
            on_dead,
            dedup: Dedup { remember, ..DEDUP },
            log,
            record: None,
            entries: BTreeSet::new(),
            watermark: 0,
            read: 0,
            lane: VecDeque::new(),
            settled: BTreeSet::new(),
            calm: false,
            finished: BTreeSet::new(),
            committed: BTreeSet::new(),
            known: BTreeSet::new(),
            paths: BTreeSet::new(),
        }
    }

    fn run(&mut self) {
        for step in 0..STEPS_MAX {
            self.calm = step > STEPS_MAX / 4;
            if let Err(Crash) = self.step() {
                self.restart();
            }
            let free = self
                .record
                .as_ref()
                .is_none_or(|record| record.block.is_none());
            if self.watermark == EVENTS && free {
                assert!(
                    self.finished.iter().copied().eq(1..=EVENTS),
                    "seed {}: {:?}",
                    self.seed,
                    self.finished
                );
                return;
            }
        }
        panic!(
            "seed {}: it stands still at {} with {:?}",
            self.seed, self.watermark, self.record
        );
    }

    fn step(&mut self) -> Result<(), Crash> {
        match self.random.below(4) {
            0 => self.read_next(),
            1 | 2 => self.work_lane(),
            _ => self.work_queue(),
        }
    }

    fn restart(&mut self) {
        self.path("crashed");
        self.watermark = self.watermark.saturating_sub(self.random.below(4));
        self.read = self.watermark;
        self.lane.clear();
        self.settled.clear();
    }

    fn maybe_crash(&mut self) -> Result<(), Crash> {
        if !self.calm && self.random.chance(4) {
            Err(Crash)
        } else {
            Ok(())
        }
    }

    fn read_next(&mut self) -> Result<(), Crash> {
        if self.read == EVENTS {
            return Ok(());
        }
        self.read += 1;
        if self.lane.is_empty() || (self.lane.len() < LANE_MAX && self.random.chance(80)) {
            self.lane.push_back(self.read);
            return Ok(());
        }
        let mut spilled = VecDeque::from([self.read]);
        if self.random.chance(50) {
            // The head has been at work for too long: all behind it go.
            let mut behind = self.lane.split_off(1);
            behind.append(&mut spilled);
            spilled = behind;
        }
        self.spill(&spilled)
    }

    /// Puts events behind the head of the lane, with one write of the record.
    fn spill(&mut self, spilled: &VecDeque<u64>) -> Result<(), Crash> {
        self.path("spilled");
        let admitted: Vec<(u64, Admission)> = spilled
            .iter()
            .map(|n| (*n, admit(self.record.as_ref(), &self.facts(*n, Place::Log))))
            .collect();
        let waiting = || {
            admitted
                .iter()
                .filter(|(_, admission)| waits(admission))
                .map(|(n, _)| *n)
        };
        if let (Some(first), Some(last)) = (waiting().min(), waiting().max()) {
            self.record = Some(queued(self.record.as_ref(), &stamp(NOW), first, last));
            self.maybe_crash()?;
        }
        for (n, admission) in admitted {
            match admission {
                Admission::Duplicate(why) => self.duplicate(n, why),
                Admission::Run
                | Admission::RunRestored
                | Admission::Conflict
                | Admission::Queue
                | Admission::Rewrite
                | Admission::RewriteDead => self.park(n)?,
            }
            self.settle(n);
        }
        Ok(())
    }

    fn work_lane(&mut self) -> Result<(), Crash> {
        let Some(&n) = self.lane.front() else {
            return Ok(());
        };
        if self.take_turn(n, Place::Log)? == Turn::Over {
            self.lane.pop_front();
            self.settle(n);
        }
        Ok(())
    }

    fn work_queue(&mut self) -> Result<(), Crash> {
        let Some(record) = &self.record else {
            return Ok(());
        };
        let Some((head, tail)) = record.queue() else {
            return Ok(());
        };
        if self.read < tail || self.lane.front().is_some_and(|n| *n <= tail) {
            return Ok(());
        }
        let n = self.entries.range(head..=tail).next().copied();
        let n = n.unwrap_or_else(|| panic!("seed {}: no entry in {head}..={tail}", self.seed));
        if record.status() == Status::Dead && self.random.chance(50) {
            self.path("skipped");
            self.pass(n);
        } else if self.take_turn(n, Place::Queue)? == Turn::Waits {
            return Ok(());
        }
        self.maybe_crash()?;
        let record = self.record.as_ref().expect("there was a queue");
        let is_head = record.queue().is_some_and(|(head, _)| head == n);
        if !is_head && !is_listed(record, n) {
            self.entries.remove(&n);
        }
        Ok(())
    }

    /// What the pipeline does with an event whose turn it is.
    fn take_turn(&mut self, n: u64, place: Place) -> Result<Turn, Crash> {
        match admit(self.record.as_ref(), &self.facts(n, place)) {
            Admission::Run => return self.attempt(n, place),
            Admission::RunRestored => panic!("seed {}: {n} runs as restored", self.seed),
            Admission::Conflict => {
                self.path("conflict");
                self.die(n, place)?;
            }
            Admission::Duplicate(why) => {
                self.duplicate(n, why);
                if place == Place::Queue {
                    self.pass(n);
                }
            }
            Admission::Queue => {
                self.path("queue");
                self.record = Some(queued(self.record.as_ref(), &stamp(NOW), n, n));
                self.maybe_crash()?;
                self.park(n)?;
            }
            Admission::Rewrite => {
                self.path("rewrite");
                self.park(n)?;
            }
            Admission::RewriteDead => {
                self.path("rewrite-dead");
                self.park(n)?;
            }
        }
        Ok(Turn::Over)
    }

    fn attempt(&mut self, n: u64, place: Place) -> Result<Turn, Crash> {
        let earlier = (1..n).find(|earlier| !self.finished.contains(earlier));
        assert_eq!(earlier, None, "seed {}: {n} runs before it", self.seed);
        self.maybe_crash()?;
        match if self.calm { 0 } else { self.random.below(10) } {
            0..6 => self.commit(n, place)?,
            6 | 7 => {
                self.path("held");
                let block = retrying(&self.facts(n, place));
                self.record = Some(held(self.record.as_ref(), &stamp(NOW), block));
                return Ok(Turn::Waits);
            }
            8 => return Ok(Turn::Waits),
            _ => self.die(n, place)?,
        }
        Ok(Turn::Over)
    }

    fn commit(&mut self, n: u64, place: Place) -> Result<(), Crash> {
        self.path("committed");
        let facts = self.facts(n, place);
        assert!(
            self.committed.insert(facts.event),
            "seed {}: the event of {n} commits twice",
            self.seed
        );
        let next = done(self.record.as_ref(), &self.change(&facts), nothing());
        self.record = Some(next.expect("no timers"));
        self.finish(n);
        self.maybe_crash()
    }

    fn die(&mut self, n: u64, place: Place) -> Result<(), Crash> {
        self.path(if place == Place::Log {
            "dead"
        } else {
            "dead-entry"
        });
        let facts = self.facts(n, place);
        let record = dead(
            self.record.as_ref(),
            &self.change(&facts),
            self.on_dead,
            &death(&facts),
        );
        let listed = is_listed(&record, n);
        self.record = Some(record);
        if listed {
            self.finish(n);
        }
        self.maybe_crash()?;
        self.park(n)
    }

    fn pass(&mut self, n: u64) {
        let record = self.record.as_ref().expect("what is queued has a record");
        let facts = self.facts(n, Place::Queue);
        self.record = Some(passed(record, &self.change(&facts)));
        self.finish(n);
    }

    /// Nothing may count as done that never was.
    fn duplicate(&mut self, n: u64, why: Duplicate) {
        let happened = match why {
            Duplicate::BelowCursor => {
                self.path("below-cursor");
                self.finished.contains(&n)
            }
            Duplicate::KnownId => {
                self.path("known-id");
                self.known.contains(&self.facts(n, Place::Log).event)
            }
            // The walk hands in only entries that the record lists.
            Duplicate::Resolved => false,
        };
        assert!(happened, "seed {}: {n} is lost as {why:?}", self.seed);
        self.finish(n);
    }

    fn park(&mut self, n: u64) -> Result<(), Crash> {
        self.entries.insert(n);
        self.maybe_crash()
    }

    fn settle(&mut self, n: u64) {
        let safe = self.finished.contains(&n) || self.entries.contains(&n);
        assert!(
            safe,
            "seed {}: {n} is settled and stands nowhere",
            self.seed
        );
        let listed = self
            .record
            .as_ref()
            .is_some_and(|record| is_listed(record, n));
        assert!(
            !listed || self.entries.contains(&n),
            "seed {}: dead {n} has no entry",
            self.seed
        );
        self.settled.insert(n);
        while self.settled.remove(&(self.watermark + 1)) {
            self.watermark += 1;
        }
    }

    fn finish(&mut self, n: u64) {
        self.finished.insert(n);
        self.known.insert(self.facts(n, Place::Log).event);
    }

    fn facts(&self, n: u64, place: Place) -> Facts<'static> {
        let (event, content) = self.log[usize::try_from(n - 1).expect("few events")];
        let facts = match place {
            Place::Log => log(n),
            Place::Queue => entry(n),
        };
        Facts {
            event,
            content,
            ..facts
        }
    }

    fn change<'a>(&'a self, facts: &'a Facts<'a>) -> Change<'a> {
        Change {
            dedup: &self.dedup,
            ..change(facts)
        }
    }

    fn path(&mut self, path: &'static str) {
        self.paths.insert(path);
    }
}

/// A log in which a share of the events, in percent, come again, some with other
/// bytes.
fn published(random: &mut Lcg, again: u64) -> Vec<(EventHash, ContentHash)> {
    let mut log: Vec<(EventHash, ContentHash)> = Vec::new();
    for n in 1..=EVENTS {
        let again = if random.chance(again) {
            log.get(usize::try_from(random.below(n)).expect("few events"))
        } else {
            None
        };
        let other_bytes = random.chance(10);
        log.push(match again {
            Some((event, content)) => (*event, if other_bytes { [2; 8] } else { *content }),
            None => (event(n), [1; 8]),
        });
    }
    log
}

fn waits(admission: &Admission) -> bool {
    match admission {
        Admission::Run | Admission::RunRestored | Admission::Conflict | Admission::Queue => true,
        Admission::Duplicate(_) | Admission::Rewrite | Admission::RewriteDead => false,
    }
}

fn is_listed(record: &Record, n: u64) -> bool {
    record.dead.iter().any(|dead| dead.sequence == n)
}
