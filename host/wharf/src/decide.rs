//! From a finished attempt to the next record: judge, then check.
//!
//! No IO: what comes out is a whole record to be written, or a reason to wait.

use wharf_core::commit::{self, Change, Checked};
use wharf_core::contract::Effects;
use wharf_core::effects::{self, Refusal};
use wharf_core::judge::{self, Death, HoldReason, Verdict};
use wharf_core::manifest::Delivery;
use wharf_core::outcome::{GuestFault, GuestFaultKind, HostFault, Outcome};
use wharf_core::record::{Block, Outbox, Record};

use crate::attempt::{Trial, Tried};
use crate::clock;
use crate::entity::{Entity, Known};
use crate::owner::Owner;
use crate::version::Version;
use crate::watchdog::Saw;
use crate::work::Work;

/// What the pipeline does next.
pub enum Decision {
    /// Write this record; its outbox goes out afterwards.
    Commit(Record),
    /// An at-least-once handler's success: publish, no record.
    EmitOnly(Option<Outbox>),
    /// Write this record, then the entry.
    Dead(Record, Death),
    /// Wait; the record is written first when it changes.
    Hold {
        next: Option<Record>,
        block: Block,
        reason: HoldReason,
    },
    Pause {
        fault: HostFault,
        delay_ms: u64,
    },
    Release,
}

/// What the pipeline does next, and what the attempt says of the version: known
/// once what is decided has been written, since the event may have been done.
pub struct Decided {
    pub decision: Decision,
    pub saw: Saw,
}

/// Decides over one attempt. `waiting` is the block of the hold just ended.
pub fn decide(
    owner: &Owner,
    entity: &Entity,
    work: &Work,
    known: &Known,
    waiting: Option<&Block>,
    trial: &Trial,
) -> Decided {
    let case = Case {
        owner,
        version: &trial.version,
        entity,
        work,
        known,
        waiting,
    };
    let mut saw = Saw::Nothing;
    let decision = match &trial.tried {
        Tried::Conflict => case.dead(case.conflict()),
        Tried::Ran(report) if case.is_of_a_newer(&report.outcome) => Decision::Pause {
            fault: HostFault::record(
                "the state is of a later version than the one that stands in here".into(),
            ),
            delay_ms: NEWER_PAUSE_MS,
        },
        Tried::Ran(report) => case.judge(&report.calls, report.outcome.clone(), &mut saw),
    };
    Decided { decision, saw }
}

struct Case<'a> {
    owner: &'a Owner,
    version: &'a Version,
    entity: &'a Entity,
    work: &'a Work,
    known: &'a Known,
    waiting: Option<&'a Block>,
}

/// Before an event whose state only the version in use can read is looked at
/// again, by which time that version, or another host, may have it.
const NEWER_PAUSE_MS: u64 = 2_000;

impl Case<'_> {
    /// Where another version is wanted, one that cannot read the state is not the
    /// handler's failure.
    fn is_of_a_newer(&self, outcome: &Outcome) -> bool {
        let Outcome::GuestFault(fault) = outcome else {
            return false;
        };
        fault.kind == GuestFaultKind::Migration
            && self.version.named() != self.owner.handler.in_use.load().version
    }

    fn judge(
        &self,
        calls: &[wharf_core::outcome::Call],
        outcome: Outcome,
        saw: &mut Saw,
    ) -> Decision {
        let manifest = &self.version.manifest;
        let digest = self.version.digest();
        let policy = judge::Policy {
            retry: &manifest.retry,
            needs: &manifest.needs,
            digest: &digest,
        };
        let facts = self.work.facts();
        let attempt = judge::Attempt {
            event: facts.event,
            calls,
            now_ms: clock::now_ms(),
            random: clock::random(),
        };
        *saw = Saw::of(&outcome);
        match judge::judge(&policy, self.prior(), &attempt, outcome) {
            Verdict::Commit(effects) => match self.commit(effects) {
                Ok(decision) => {
                    *saw = Saw::Good;
                    decision
                }
                Err(refusal) if refusal.is_loop() => self.dead(self.too_many_hops(&refusal)),
                Err(refusal) => {
                    self.work.trace.refused(GuestFaultKind::BadOutput.code());
                    self.judge(calls, Outcome::GuestFault(bad_output(&refusal)), saw)
                }
            },
            Verdict::Hold { block, reason } => self.hold(block, reason),
            Verdict::Dead(death) => self.dead(death),
            Verdict::HostFault { fault, delay_ms } => Decision::Pause { fault, delay_ms },
            Verdict::Release => Decision::Release,
        }
    }

    /// The block of the hold just ended knows more than the record, where
    /// waiting for a need is written only once.
    fn prior(&self) -> Option<&Block> {
        self.waiting
            .or_else(|| self.known.record().and_then(|record| record.block.as_ref()))
    }

    fn commit(&self, effects: Effects) -> Result<Decision, Refusal> {
        let handler = &self.owner.handler;
        let context = effects::Context {
            manifest: &self.version.manifest,
            identity: handler.identity(self.work),
            hops: self.work.event.hops,
            message_bytes_max: self.version.message_bytes_max,
        };
        let emissions = effects::check(&context, &effects)?;
        let checked = Checked {
            effects,
            emissions,
            flow: self.work.flow(),
        };
        let record = self.known.record();
        if self.version.manifest.delivery == Delivery::AtLeastOnce && record.is_none() {
            let outbox = self.change(|change| commit::unrecorded(change, checked));
            return Ok(Decision::EmitOnly(outbox));
        }
        let next = self.change(|change| commit::done(record, change, checked))?;
        commit::check_size(next.bytes(), handler.record_bytes_max)?;
        Ok(Decision::Commit(next))
    }

    fn dead(&self, death: Death) -> Decision {
        let on_dead = self.version.manifest.on_dead;
        let next = self.change(|change| commit::dead(self.known.record(), change, on_dead, &death));
        Decision::Dead(next, death)
    }

    fn hold(&self, block: Block, reason: HoldReason) -> Decision {
        let written = self.known.record().and_then(|record| record.block.as_ref());
        let same = written.is_some_and(|written| says_the_same(written, &block));
        let next = (!same).then(|| {
            self.change(|change| commit::held(self.known.record(), &change.stamp, block.clone()))
        });
        Decision::Hold {
            next,
            block,
            reason,
        }
    }

    fn conflict(&self) -> Death {
        let id = &self.work.event.id;
        let message =
            format!("event id `{id}` is known with other content; an id names one event for ever");
        self.death("id-conflict", message)
    }

    fn too_many_hops(&self, refusal: &Refusal) -> Death {
        self.death("loop", refusal.to_string())
    }

    fn death(&self, code: &str, message: String) -> Death {
        let block = Block {
            event: self.work.facts().event.to_vec(),
            ..Block::default()
        };
        let block = Block {
            code: code.into(),
            message: message.clone(),
            ..block
        };
        Death {
            code: code.into(),
            message,
            block,
            backtrace: String::new(),
            stderr_tail: String::new(),
        }
    }

    fn change<R>(&self, build: impl FnOnce(&Change<'_>) -> R) -> R {
        self.version.change(self.entity, self.work, build)
    }
}

fn bad_output(refusal: &Refusal) -> GuestFault {
    let (backtrace, stderr_tail) = (String::new(), String::new());
    GuestFault {
        kind: GuestFaultKind::BadOutput,
        message: refusal.to_string(),
        backtrace,
        stderr_tail,
    }
}

/// Only the pace of looking at a need that is down differs.
fn says_the_same(written: &Block, block: &Block) -> bool {
    let paced = Block {
        head: block.head,
        tail: block.tail,
        queued: block.queued,
        waits: block.waits,
        next_due_ms: block.next_due_ms,
        excluded_ms: block.excluded_ms,
        waiting_since_ms: block.waiting_since_ms,
        message: block.message.clone(),
        ..written.clone()
    };
    block.waiting_since_ms > 0 && paced == *block
}
