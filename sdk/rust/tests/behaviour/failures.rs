//! What `?` makes of an error.

use wharf::http::{CallError, Error, Need};
use wharf::{Failure, Undecodable, need};

fn through<E: Into<Failure>>(error: E) -> Failure {
    error.into()
}

fn printer() -> Need {
    need!("printer")
}

fn call(error: CallError) -> Failure {
    through(Error::Call {
        need: printer(),
        error,
    })
}

#[track_caller]
fn retry_code(failure: Failure) -> String {
    match failure {
        Failure::Retry(problem) => problem.code,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn reject_code(failure: Failure) -> String {
    match failure {
        Failure::Reject(problem) => problem.code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_without_an_answer_makes_the_need_unavailable() {
    for error in [
        CallError::NotSent("open".into()),
        CallError::UnknownOutcome("cut".into()),
    ] {
        let Failure::Unavailable(outage) = call(error) else {
            panic!("another failure")
        };
        assert_eq!(outage.need, "printer");
    }
}

#[test]
fn a_call_that_cannot_be_made_is_told_from_one_that_may_work_later() {
    assert_eq!(
        retry_code(call(CallError::Denied(String::new()))),
        "call-denied"
    );
    assert_eq!(
        retry_code(call(CallError::ResponseTooLarge(String::new()))),
        "answer-too-large"
    );
    assert_eq!(
        reject_code(call(CallError::Invalid(String::new()))),
        "call-invalid"
    );
}

#[test]
fn an_answer_of_another_kind_than_expected_is_tried_again() {
    assert_eq!(
        retry_code(through(Error::Status {
            need: printer(),
            status: 418
        })),
        "unexpected-status"
    );
    let problem = Undecodable::new("a page");
    let answer = Error::Answer {
        need: printer(),
        status: 200,
        problem,
    };
    assert_eq!(retry_code(through(answer)), "unexpected-answer");
}

#[test]
fn data_that_cannot_be_read_are_rejected() {
    let error = serde_json::from_str::<u32>("\"secret\"").expect_err("text is no number");
    let failure = through(error);
    assert!(!format!("{failure:?}").contains("secret"), "{failure:?}");
    assert_eq!(reject_code(failure), "bad-data");
    assert_eq!(reject_code(through(Undecodable::new("x"))), "bad-data");
}

#[test]
fn any_other_error_is_an_unclassified_retry() {
    let error = "x".parse::<u32>().expect_err("x is no number");
    assert_eq!(retry_code(through(error)), "unclassified");
}

#[test]
fn a_delay_is_carried_in_milliseconds() {
    let failure = Failure::retry("busy", "later").after(std::time::Duration::from_secs(2));
    let Failure::Retry(problem) = failure else {
        panic!("another failure")
    };
    assert_eq!(problem.after_ms, Some(2000));
}
