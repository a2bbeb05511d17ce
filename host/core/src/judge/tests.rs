use std::time::Duration;

use super::*;
use crate::manifest::{RecordCalls, StatusSet};
use crate::outcome::HostFaultKind;

const DIGEST: &[u8] = &[7; 32];
const EVENT: EventHash = [3; 16];

fn retry_policy() -> Retry {
    Retry {
        max_attempts: 3,
        initial: Duration::from_millis(200),
        factor: 2.0,
        cap: Duration::from_secs(300),
        max_age: Duration::from_secs(3600),
        guest_faults: 2,
        not_ready_max_age: Duration::from_secs(60),
    }
}

fn need(required: bool, on_unknown: OnUnknown) -> NeedPolicy {
    NeedPolicy {
        timeout: Duration::from_secs(3),
        required,
        failure_status: StatusSet(vec![(500, 599)]),
        idempotency_header: Some("idempotency-key".into()),
        idempotency_ttl: Duration::from_secs(86_400),
        on_unknown,
        record_calls: RecordCalls::Off,
    }
}

struct Case {
    needs: BTreeMap<String, NeedPolicy>,
    calls: Vec<Call>,
    now_ms: u64,
}

impl Case {
    fn new() -> Self {
        let needs = BTreeMap::from([("gateway".to_owned(), need(true, OnUnknown::Retry))]);
        Self {
            needs,
            calls: Vec::new(),
            now_ms: 1_000_000,
        }
    }

    fn with_call(result: CallResult) -> Self {
        let mut case = Self::new();
        case.calls.push(Call {
            need: "gateway".into(),
            result,
            retry_after_ms: None,
            unsafe_method: true,
            took_ms: 0,
        });
        case
    }

    fn judge(&self, prior: Option<&Block>, outcome: Outcome) -> Verdict {
        let retry = retry_policy();
        let policy = Policy {
            retry: &retry,
            needs: &self.needs,
            digest: DIGEST,
        };
        let attempt = Attempt {
            event: EVENT,
            calls: &self.calls,
            now_ms: self.now_ms,
            random: u64::MAX,
        };
        judge(&policy, prior, &attempt, outcome)
    }
}

fn problem(code: &str) -> Problem {
    Problem {
        code: code.into(),
        message: "because".into(),
        after_ms: None,
    }
}

fn retry_failure() -> Outcome {
    Outcome::Failed(Failure::Retry(problem("busy")))
}

fn trap() -> Outcome {
    Outcome::GuestFault(GuestFault {
        kind: GuestFaultKind::Trap,
        message: "unreachable".into(),
        backtrace: "frame".into(),
        stderr_tail: "panicked".into(),
    })
}

fn held(verdict: Verdict) -> (Block, HoldReason) {
    match verdict {
        Verdict::Hold { block, reason } => (block, reason),
        other => panic!("not held: {other:?}"),
    }
}

fn death(verdict: Verdict) -> Death {
    match verdict {
        Verdict::Dead(death) => death,
        other => panic!("not dead: {other:?}"),
    }
}

#[test]
fn ok_commits_even_when_a_call_failed_on_the_way() {
    let case = Case::with_call(CallResult::UnknownOutcome);
    assert_eq!(
        case.judge(None, Outcome::Done(Effects::default())),
        Verdict::Commit(Effects::default())
    );
}

#[test]
fn cancelled_is_released_and_counts_nothing() {
    assert_eq!(
        Case::new().judge(None, Outcome::Cancelled),
        Verdict::Release
    );
}

#[test]
fn a_host_fault_waits_and_counts_nothing() {
    let fault = HostFault {
        kind: HostFaultKind::PoolFull,
        message: "full".into(),
    };
    let verdict = Case::new().judge(None, Outcome::HostFault(fault.clone()));
    assert_eq!(
        verdict,
        Verdict::HostFault {
            fault,
            delay_ms: 1000
        }
    );
}

#[test]
fn retries_back_off_and_end_in_a_dead_letter_with_the_handlers_code() {
    let case = Case::new();
    let (first, reason) = held(case.judge(None, retry_failure()));
    assert_eq!(
        (first.transient, reason, first.next_due_ms),
        (1, HoldReason::Retrying, 1_000_200)
    );
    let (second, _) = held(case.judge(Some(&first), retry_failure()));
    assert_eq!((second.transient, second.next_due_ms), (2, 1_000_400));
    let death = death(case.judge(Some(&second), retry_failure()));
    assert_eq!((death.code.as_str(), death.block.transient), ("busy", 3));
}

#[test]
fn a_failure_of_an_earlier_event_does_not_count_against_this_one() {
    let other = Block {
        event: vec![9; 16],
        transient: 2,
        head: 4,
        tail: 6,
        ..Block::default()
    };
    let (block, _) = held(Case::new().judge(Some(&other), retry_failure()));
    assert_eq!((block.transient, block.head, block.tail), (1, 4, 6));
}

#[test]
fn age_ends_retries_and_leaves_out_the_time_a_need_was_down() {
    let mut case = Case::new();
    let (first, _) = held(case.judge(None, retry_failure()));
    case.now_ms += 3_601_000;
    assert_eq!(
        death(case.judge(Some(&first), retry_failure())).code,
        "busy"
    );
    let waited = Block {
        waiting_since_ms: 1_000_100,
        ..first
    };
    let (block, _) = held(case.judge(Some(&waited), retry_failure()));
    assert_eq!((block.excluded_ms, block.waiting_since_ms), (3_600_900, 0));
}

#[test]
fn guest_faults_have_a_small_budget_for_each_version() {
    let case = Case::new();
    let (first, _) = held(case.judge(None, trap()));
    let death = death(case.judge(Some(&first), trap()));
    assert_eq!(
        (death.code.as_str(), death.backtrace.as_str()),
        ("trap", "frame")
    );
    let other_version = Block {
        faults_digest: vec![1; 32],
        ..first
    };
    let (block, _) = held(case.judge(Some(&other_version), trap()));
    assert_eq!(block.guest_faults, 1);
}

#[test]
fn a_guest_fault_counts_even_while_a_need_is_down() {
    let (block, reason) = held(Case::with_call(CallResult::NotSent).judge(None, trap()));
    assert_eq!((block.guest_faults, reason), (1, HoldReason::Retrying));
}

#[test]
fn reject_is_dead_at_once_but_waits_when_a_required_need_failed() {
    let reject = || Outcome::Failed(Failure::Reject(problem("bad-data")));
    assert_eq!(death(Case::new().judge(None, reject())).code, "bad-data");
    for result in [
        CallResult::FailureStatus(503),
        CallResult::NotSent,
        CallResult::UnknownOutcome,
    ] {
        let (block, reason) = held(Case::with_call(result).judge(None, reject()));
        assert_eq!(
            (block.transient, reason, block.need.as_str()),
            (0, HoldReason::WaitingNeed, "gateway")
        );
    }
}

#[test]
fn an_answer_and_a_refusal_by_the_host_do_not_make_a_need_down() {
    for result in [
        CallResult::Answered,
        CallResult::Refused,
        CallResult::TooLarge,
    ] {
        let (_, reason) = held(Case::with_call(result).judge(None, retry_failure()));
        assert_eq!(reason, HoldReason::Retrying);
    }
}

#[test]
fn a_need_that_is_not_required_leaves_the_handlers_answer_alone() {
    let mut case = Case::with_call(CallResult::NotSent);
    case.needs
        .insert("gateway".into(), need(false, OnUnknown::Retry));
    assert_eq!(
        held(case.judge(None, retry_failure())).1,
        HoldReason::Retrying
    );
}

#[test]
fn waiting_for_a_need_is_never_counted_however_long_it_lasts() {
    let mut case = Case::with_call(CallResult::NotSent);
    let mut block = None;
    for _ in 0..1000 {
        let (next, _) = held(case.judge(block.as_ref(), retry_failure()));
        assert!(next.next_due_ms - case.now_ms <= 5_000);
        case.now_ms = next.next_due_ms;
        block = Some(next);
    }
    let block = block.expect("looped");
    assert_eq!((block.transient, block.waits), (0, 1000));
}

#[test]
fn unavailable_waits_for_the_need_it_names_and_an_unknown_name_is_the_guests_fault() {
    let outage = |need: &str| {
        let outage = Outage {
            need: need.into(),
            message: String::new(),
            after_ms: Some(7_000),
        };
        Outcome::Failed(Failure::Unavailable(outage))
    };
    let (block, reason) = held(Case::new().judge(None, outage("gateway")));
    assert_eq!(
        (reason, block.next_due_ms),
        (HoldReason::WaitingNeed, 1_007_000)
    );
    let (block, _) = held(Case::new().judge(None, outage("gatway")));
    assert_eq!((block.guest_faults, block.code.as_str()), (1, "bad-output"));
}

#[test]
fn an_unknown_outcome_is_parked_where_the_policy_or_the_keys_age_forbids_another_try() {
    let mut case = Case::with_call(CallResult::UnknownOutcome);
    let (block, _) = held(case.judge(None, retry_failure()));
    assert_eq!(block.unknown_since_ms, 1_000_000);
    case.now_ms += 86_400_001;
    assert_eq!(
        death(case.judge(Some(&block), retry_failure())).code,
        "unknown-outcome"
    );
    case.needs
        .insert("gateway".into(), need(true, OnUnknown::Park));
    assert_eq!(
        death(case.judge(None, retry_failure())).code,
        "unknown-outcome"
    );
}

#[test]
fn not_ready_is_not_counted_and_has_an_age_of_its_own() {
    let mut case = Case::new();
    let not_ready = || Outcome::Failed(Failure::NotReady(problem("no-stock-yet")));
    let (block, reason) = held(case.judge(None, not_ready()));
    assert_eq!((reason, block.transient), (HoldReason::NotReady, 0));
    case.now_ms += 60_001;
    assert_eq!(
        death(case.judge(Some(&block), not_ready())).code,
        "not-ready"
    );
}

#[test]
fn attempts_are_those_of_the_event_itself() {
    let block = Block {
        event: EVENT.to_vec(),
        transient: 2,
        guest_faults: 1,
        ..Block::default()
    };
    assert_eq!(attempts(Some(&block), &EVENT), 3);
    assert_eq!(attempts(Some(&block), &[4; 16]), 0);
    assert_eq!(attempts(None, &EVENT), 0);
}
