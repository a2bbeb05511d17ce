//! The one table from what an attempt came to, to what follows.
//!
//! Only here live the rules of retry, of needs that are down and of dead
//! letters. Precedence: cancelled, host fault, guest fault, `ok`, a required
//! need that is down, the handler's own failure.

use std::collections::BTreeMap;

use crate::backoff::{Backoff, millis};
use crate::contract::{Effects, Failure, Outage, Problem};
use crate::ids::EventHash;
use crate::manifest::{NeedPolicy, OnUnknown, Retry};
use crate::outcome::{Call, CallResult, GuestFault, GuestFaultKind, HostFault, Outcome};
use crate::record::{Block, Status};

/// The policy of a handler that the judge applies.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub retry: &'a Retry,
    pub needs: &'a BTreeMap<String, NeedPolicy>,
    /// The component that made the attempt.
    pub digest: &'a [u8],
}

/// What happened, and when.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    pub event: EventHash,
    pub calls: &'a [Call],
    pub now_ms: u64,
    /// Uniform over `u64`; for jitter.
    pub random: u64,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Commit(Effects),
    /// Hold the event in its lane until `block.next_due_ms`, with this block in
    /// the record before the next attempt can start.
    Hold {
        block: Block,
        reason: HoldReason,
    },
    /// Park it durably for a person.
    Dead(Death),
    /// Nothing is counted; try again after a pause.
    HostFault {
        fault: HostFault,
        delay_ms: u64,
    },
    /// Give it back; it has not happened.
    Release,
}

/// Why an event is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldReason {
    Retrying,
    NotReady,
    WaitingNeed,
}

impl HoldReason {
    /// As metrics and `wharf entity show` print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::NotReady => "not-ready",
            Self::WaitingNeed => "waiting-need",
        }
    }
}

/// Why an event is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// Groups dead letters: `[a-z0-9-]{1,64}`.
    pub code: String,
    pub message: String,
    /// The attempts that led here.
    pub block: Block,
    pub backtrace: String,
    pub stderr_tail: String,
}

/// Decides. `prior` is the record's block; it counts only when it speaks of
/// this event.
pub fn judge(
    policy: &Policy<'_>,
    prior: Option<&Block>,
    attempt: &Attempt<'_>,
    outcome: Outcome,
) -> Verdict {
    let block = begin(prior, attempt);
    match outcome {
        Outcome::Cancelled => Verdict::Release,
        Outcome::HostFault(fault) => host_fault(fault, attempt),
        Outcome::GuestFault(fault) => guest_fault(policy, block, attempt, fault),
        Outcome::Done(effects) => Verdict::Commit(effects),
        Outcome::Failed(failure) => failed(policy, block, attempt, failure),
    }
}

/// Counted failures so far of this event: `attempt` is one more.
pub fn attempts(block: Option<&Block>, event: &EventHash) -> u32 {
    block
        .filter(|b| b.event == event)
        .map_or(0, |b| b.transient + b.guest_faults)
}

/// The block to go on from: this event's, with the wait for a need that just
/// ended taken out of its age; or a fresh one that keeps the queue behind it.
fn begin(prior: Option<&Block>, attempt: &Attempt<'_>) -> Block {
    let Some(prior) = prior else {
        return of(attempt, 0, 0);
    };
    if prior.event != attempt.event {
        return of(attempt, prior.head, prior.tail);
    }
    let mut block = prior.clone();
    if block.waiting_since_ms > 0 {
        block.excluded_ms += attempt.now_ms.saturating_sub(block.waiting_since_ms);
        block.waiting_since_ms = 0;
    }
    block
}

fn of(attempt: &Attempt<'_>, head: u64, tail: u64) -> Block {
    Block {
        event: attempt.event.to_vec(),
        head,
        tail,
        ..Block::default()
    }
}

fn host_fault(fault: HostFault, attempt: &Attempt<'_>) -> Verdict {
    Verdict::HostFault {
        fault,
        delay_ms: HOST_PAUSE.delay_ms(3, None, attempt.random),
    }
}

/// Between tries after a host fault: up to a second.
const HOST_PAUSE: Backoff = Backoff {
    initial: std::time::Duration::from_millis(250),
    factor: 2.0,
    cap: std::time::Duration::from_secs(1),
};

fn guest_fault(
    policy: &Policy<'_>,
    mut block: Block,
    attempt: &Attempt<'_>,
    fault: GuestFault,
) -> Verdict {
    if block.faults_digest != policy.digest {
        block.faults_digest = policy.digest.to_vec();
        block.guest_faults = 0;
    }
    block.guest_faults += 1;
    block.waits = 0;
    mark_failure(&mut block, attempt, fault.kind.code(), &fault.message);
    if block.guest_faults >= policy.retry.guest_faults {
        let GuestFault {
            message,
            backtrace,
            stderr_tail,
            kind,
        } = fault;
        return Verdict::Dead(Death {
            code: kind.code().into(),
            message,
            block,
            backtrace,
            stderr_tail,
        });
    }
    let n = block.guest_faults;
    hold(policy, block, attempt, HoldReason::Retrying, n, None)
}

fn failed(policy: &Policy<'_>, block: Block, attempt: &Attempt<'_>, failure: Failure) -> Verdict {
    if let Failure::Unavailable(outage) = &failure
        && !policy.needs.contains_key(&outage.need)
    {
        let message = format!(
            "`unavailable` names the need `{}`, which the manifest does not declare",
            outage.need
        );
        return guest_fault(policy, block, attempt, bad_output(message));
    }
    if let Some(down) = need_down(policy, attempt.calls) {
        return wait_for_need(policy, block, attempt, down);
    }
    match failure {
        Failure::Unavailable(outage) => wait_for_need(policy, block, attempt, Down::from(outage)),
        Failure::Reject(problem) => reject(block, attempt, problem),
        Failure::Retry(problem) => retry(policy, block, attempt, problem),
        Failure::NotReady(problem) => not_ready(policy, block, attempt, problem),
    }
}

fn bad_output(message: String) -> GuestFault {
    GuestFault {
        kind: GuestFaultKind::BadOutput,
        message,
        backtrace: String::new(),
        stderr_tail: String::new(),
    }
}

fn reject(mut block: Block, attempt: &Attempt<'_>, problem: Problem) -> Verdict {
    mark_failure(&mut block, attempt, &problem.code, &problem.message);
    dead(block, problem.code, problem.message)
}

fn retry(
    policy: &Policy<'_>,
    mut block: Block,
    attempt: &Attempt<'_>,
    problem: Problem,
) -> Verdict {
    block.transient += 1;
    block.waits = 0;
    mark_failure(&mut block, attempt, &problem.code, &problem.message);
    let age = attempt
        .now_ms
        .saturating_sub(block.first_failure_ms)
        .saturating_sub(block.excluded_ms);
    if block.transient >= policy.retry.max_attempts || age > millis(policy.retry.max_age) {
        return dead(block, problem.code, problem.message);
    }
    let n = block.transient;
    hold(
        policy,
        block,
        attempt,
        HoldReason::Retrying,
        n,
        problem.after_ms.map(u64::from),
    )
}

fn not_ready(
    policy: &Policy<'_>,
    mut block: Block,
    attempt: &Attempt<'_>,
    problem: Problem,
) -> Verdict {
    if block.not_ready_since_ms == 0 {
        block.not_ready_since_ms = attempt.now_ms;
    }
    let age = attempt.now_ms.saturating_sub(block.not_ready_since_ms);
    if age > millis(policy.retry.not_ready_max_age) {
        let message = format!("{}: {}", problem.code, problem.message);
        return dead(block, "not-ready".into(), message);
    }
    block.waits += 1;
    describe(&mut block, &problem.code, &problem.message);
    let n = block.waits;
    hold(
        policy,
        block,
        attempt,
        HoldReason::NotReady,
        n,
        problem.after_ms.map(u64::from),
    )
}

/// A need that keeps the event waiting.
struct Down {
    need: String,
    message: String,
    after_ms: Option<u64>,
    /// It was sent by an unsafe method and may have been carried out.
    unknown: bool,
}

impl From<Outage> for Down {
    fn from(outage: Outage) -> Self {
        let after_ms = outage.after_ms.map(u64::from);
        Self {
            need: outage.need,
            message: outage.message,
            after_ms,
            unknown: false,
        }
    }
}

/// The last call that failed at a required need; an unknown outcome of an
/// unsafe call speaks before the others, because it may have to be parked.
fn need_down(policy: &Policy<'_>, calls: &[Call]) -> Option<Down> {
    let required = |call: &&Call| {
        policy
            .needs
            .get(&call.need)
            .is_some_and(|need| need.required)
    };
    let downs: Vec<Down> = calls.iter().filter(required).filter_map(as_down).collect();
    let unknown = downs.iter().rposition(|down| down.unknown);
    let last = unknown.or(downs.len().checked_sub(1))?;
    downs.into_iter().nth(last)
}

fn as_down(call: &Call) -> Option<Down> {
    let message = match call.result {
        CallResult::Answered | CallResult::Refused | CallResult::TooLarge => return None,
        CallResult::FailureStatus(status) => format!("answered {status}"),
        CallResult::NotSent => "could not be reached".to_owned(),
        CallResult::UnknownOutcome => "gave no whole answer".to_owned(),
    };
    let unknown = call.unsafe_method && call.result == CallResult::UnknownOutcome;
    Some(Down {
        need: call.need.clone(),
        message,
        after_ms: call.retry_after_ms,
        unknown,
    })
}

fn wait_for_need(
    policy: &Policy<'_>,
    mut block: Block,
    attempt: &Attempt<'_>,
    down: Down,
) -> Verdict {
    if down.unknown && block.unknown_since_ms == 0 {
        block.unknown_since_ms = attempt.now_ms;
    }
    block.need = down.need;
    let code = if down.unknown {
        "unknown-outcome"
    } else {
        "need-down"
    };
    let message = format!("need `{}` {}", block.need, down.message);
    describe(&mut block, code, &message);
    if down.unknown && !may_send_again(policy, &block, attempt.now_ms) {
        return dead(block, "unknown-outcome".into(), message);
    }
    block.waiting_since_ms = attempt.now_ms;
    block.waits += 1;
    let pause = Backoff {
        cap: NEED_PAUSE_MAX.min(policy.retry.cap),
        ..backoff(policy.retry)
    };
    let delay_ms = pause.delay_ms(block.waits, down.after_ms, attempt.random);
    finish_hold(block, attempt, HoldReason::WaitingNeed, delay_ms)
}

/// The longest time between two looks at a need that is down, unless it asked
/// for more itself.
const NEED_PAUSE_MAX: std::time::Duration = std::time::Duration::from_secs(5);

fn may_send_again(policy: &Policy<'_>, block: &Block, now_ms: u64) -> bool {
    let Some(need) = policy.needs.get(&block.need) else {
        return false;
    };
    let age_ms = now_ms.saturating_sub(block.unknown_since_ms);
    match need.on_unknown {
        OnUnknown::Park => false,
        OnUnknown::Retry => {
            need.idempotency_header.is_none() || age_ms <= millis(need.idempotency_ttl)
        }
    }
}

fn hold(
    policy: &Policy<'_>,
    block: Block,
    attempt: &Attempt<'_>,
    reason: HoldReason,
    n: u32,
    asked_ms: Option<u64>,
) -> Verdict {
    let cap_ms = millis(policy.retry.cap);
    let asked_ms = asked_ms.map(|asked| asked.min(cap_ms));
    let delay_ms = backoff(policy.retry).delay_ms(n, asked_ms, attempt.random);
    finish_hold(block, attempt, reason, delay_ms)
}

fn finish_hold(
    mut block: Block,
    attempt: &Attempt<'_>,
    reason: HoldReason,
    delay_ms: u64,
) -> Verdict {
    let status = match reason {
        HoldReason::Retrying => Status::Retrying,
        HoldReason::NotReady => Status::NotReady,
        HoldReason::WaitingNeed => Status::WaitingNeed,
    };
    if reason != HoldReason::WaitingNeed {
        block.need.clear();
    }
    if reason != HoldReason::NotReady {
        block.not_ready_since_ms = 0;
    }
    block.set_status(status);
    block.next_due_ms = attempt.now_ms.saturating_add(delay_ms);
    Verdict::Hold { block, reason }
}

fn backoff(retry: &Retry) -> Backoff {
    Backoff {
        initial: retry.initial,
        factor: retry.factor,
        cap: retry.cap,
    }
}

fn dead(mut block: Block, code: String, message: String) -> Verdict {
    describe(&mut block, &code, &message);
    Verdict::Dead(Death {
        code,
        message,
        block,
        backtrace: String::new(),
        stderr_tail: String::new(),
    })
}

fn mark_failure(block: &mut Block, attempt: &Attempt<'_>, code: &str, message: &str) {
    if block.first_failure_ms == 0 {
        block.first_failure_ms = attempt.now_ms;
    }
    describe(block, code, message);
}

/// What is kept of a message in the record; the parked entry has it whole.
const MESSAGE_BYTES_MAX: usize = 512;

fn describe(block: &mut Block, code: &str, message: &str) {
    code.clone_into(&mut block.code);
    message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].clone_into(&mut block.message);
}

#[cfg(test)]
mod tests;
