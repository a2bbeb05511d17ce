//! `http.send`: who may call what, under which key, and what the judge is told.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use wharf_core::ids::Identity;
use wharf_core::manifest::NeedPolicy;
use wharf_core::outcome::{Call, CallResult};

use crate::bindings::http::{CallError, Host, Request, Response};
use crate::context::{Context, Subject};
use crate::outbound::request::{self, Checked, Reserved};
use crate::outbound::send::{Answer, NoAnswer, Terms, retry_after};
use crate::outbound::trace::Exchange;
use crate::text;

/// Calls that one attempt may make; more are `denied`.
const CALLS_MAX: usize = 256;
/// How much of an undeclared need's name is kept.
const NAME_BYTES_MAX: usize = 64;

impl Host for Context {
    async fn send(&mut self, need: String, request: Request) -> Result<Response, CallError> {
        if self.scene.calls.len() >= CALLS_MAX {
            let reason = format!("more than {CALLS_MAX} calls in one attempt");
            return Err(CallError::Denied(reason));
        }
        let (checked, terms) = match self.prepare(&need, request) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                self.scene.calls.push(refused(&need));
                return Err(refusal);
            }
        };
        self.exchange(need, checked, terms).await
    }
}

impl Context {
    /// Everything that can be said before the need is asked.
    fn prepare(&self, need: &str, request: Request) -> Result<(Checked, Terms), CallError> {
        let denied = |reason: String| CallError::Denied(reason);
        let Some(policy) = self.settings.needs.get(need) else {
            let name = text::head(need, NAME_BYTES_MAX);
            return Err(denied(format!(
                "the manifest names no need `{name}`: add [needs.{name}]"
            )));
        };
        let Some(subject) = &self.scene.subject else {
            return Err(denied(
                "calls are made only while an event is handled".to_owned(),
            ));
        };
        let auth = self.settings.outbound.auth_header(need);
        let reserved = Reserved {
            auth: auth.as_ref(),
            idempotency: policy.idempotency_header.as_deref(),
        };
        let checked = request::check(request, reserved, self.settings.limits.request_bytes)
            .map_err(|invalid| CallError::Invalid(invalid.to_string()))?;
        let terms = Terms {
            idempotency: self.idempotency(subject, need, policy, &checked),
            traceparent: self.traceparent(subject),
            until: until(subject, policy, checked.timeout_ms),
            response_bytes_max: self.settings.limits.response_bytes,
        };
        Ok((checked, terms))
    }

    /// The need's idempotency header: the guest's key, or for a method that
    /// changes something one that is derived from the call itself.
    fn idempotency(
        &self,
        subject: &Subject,
        need: &str,
        policy: &NeedPolicy,
        checked: &Checked,
    ) -> Option<(HeaderName, HeaderValue)> {
        let name = HeaderName::from_bytes(policy.idempotency_header.as_ref()?.as_bytes()).ok()?;
        if let Some(given) = &checked.idempotency_key {
            return Some((name, given.clone()));
        }
        if request::is_safe(&checked.method) {
            return None;
        }
        let event = &subject.event;
        let identity = Identity {
            lineage: &subject.lineage,
            source: &event.source,
            id: &event.id,
            key: &event.key,
        };
        let method = checked.method.as_str();
        let same = (need.to_owned(), method.to_owned(), checked.path.clone());
        let before = self.scene.sent.get(&same).copied().unwrap_or(0);
        let key = identity.call(need, method, &checked.path, before);
        Some((name, HeaderValue::from_str(&key).ok()?))
    }

    fn traceparent(&self, subject: &Subject) -> Option<HeaderValue> {
        let context = subject.trace.of_call(self.scene.calls.len())?;
        HeaderValue::from_str(&context.to_string()).ok()
    }

    /// Sends, and keeps what came of it. Until it is known the record says
    /// that the outcome is unknown: that is what holds if the attempt is ended
    /// in the middle.
    async fn exchange(
        &mut self,
        need: String,
        checked: Checked,
        terms: Terms,
    ) -> Result<Response, CallError> {
        let began = Instant::now();
        let same = (
            need.clone(),
            checked.method.as_str().to_owned(),
            checked.path.clone(),
        );
        let at = self.scene.calls.len();
        let exchange = self.trace(&need, &checked, at, began);
        self.scene.calls.push(Call {
            need: need.clone(),
            result: CallResult::UnknownOutcome,
            retry_after_ms: None,
            unsafe_method: !request::is_safe(&checked.method),
            took_ms: 0,
        });
        let answered = self.settings.outbound.send(&need, checked, terms).await;
        let (result, retry_after) = self.weigh(&need, &answered);
        self.scene.calls[at].result = result;
        self.scene.calls[at].retry_after_ms = retry_after.map(millis);
        self.scene.calls[at].took_ms = millis(began.elapsed());
        if let Some(exchange) = exchange.and_then(|at| self.scene.exchanges.get_mut(at)) {
            exchange.took = Some(began.elapsed());
            exchange.status = status(&answered);
            exchange.result = result;
        }
        if result != CallResult::NotSent {
            *self.scene.sent.entry(same).or_default() += 1;
        }
        self.tell(&need, result, began.elapsed());
        answered.map(response).map_err(call_error)
    }

    /// Begins the call's span, when somebody records it; where it stands.
    fn trace(
        &mut self,
        need: &str,
        checked: &Checked,
        call: usize,
        began: Instant,
    ) -> Option<usize> {
        let subject = self.scene.subject.as_ref()?;
        let span_id = subject.trace.span_of_call(call)?;
        self.scene.exchanges.push(Exchange {
            need: need.to_owned(),
            method: checked.method.clone(),
            server: self.settings.outbound.server(need),
            span_id,
            began: began.into_std(),
            took: None,
            status: None,
            result: CallResult::UnknownOutcome,
        });
        Some(self.scene.exchanges.len() - 1)
    }

    /// Reduces an answer to what policy needs.
    fn weigh(
        &self,
        need: &str,
        answered: &Result<Answer, NoAnswer>,
    ) -> (CallResult, Option<Duration>) {
        let fails = |status: u16| {
            let policy = self.settings.needs.get(need);
            policy.is_some_and(|policy| policy.failure_status.contains(status))
        };
        match answered {
            Ok(answer) => {
                let status = answer.status.as_u16();
                let result = match fails(status) {
                    true => CallResult::FailureStatus(status),
                    false => CallResult::Answered,
                };
                (result, retry_after(&answer.headers, SystemTime::now()))
            }
            Err(NoAnswer::NotSent(_)) => (CallResult::NotSent, None),
            Err(NoAnswer::Unknown(_)) => (CallResult::UnknownOutcome, None),
            Err(NoAnswer::TooLarge {
                status,
                retry_after,
                ..
            }) => {
                let status = status.as_u16();
                let result = match fails(status) {
                    true => CallResult::FailureStatus(status),
                    false => CallResult::TooLarge,
                };
                (result, *retry_after)
            }
        }
    }

    fn tell(&self, need: &str, result: CallResult, took: Duration) {
        let Some(subject) = &self.scene.subject else {
            return;
        };
        tracing::debug!(
            target: "need",
            handler = &*self.settings.handler,
            need,
            event_id = subject.event.id,
            key = subject.event.key,
            trace_id = subject.trace.id(),
            result = ?result,
            took_ms = millis(took),
            "called",
        );
    }
}

fn until(subject: &Subject, policy: &NeedPolicy, asked_ms: Option<u32>) -> Instant {
    let asked = asked_ms.map(|ms| Duration::from_millis(u64::from(ms)));
    let timeout = asked.map_or(policy.timeout, |asked| asked.min(policy.timeout));
    (Instant::now() + timeout).min(subject.deadline)
}

/// The status, also of an answer that was too large to keep.
fn status(answered: &Result<Answer, NoAnswer>) -> Option<u16> {
    match answered {
        Ok(Answer { status, .. }) | Err(NoAnswer::TooLarge { status, .. }) => Some(status.as_u16()),
        Err(NoAnswer::NotSent(_) | NoAnswer::Unknown(_)) => None,
    }
}

fn refused(need: &str) -> Call {
    Call {
        need: text::head(need, NAME_BYTES_MAX).to_owned(),
        result: CallResult::Refused,
        retry_after_ms: None,
        unsafe_method: false,
        took_ms: 0,
    }
}

fn response(answer: Answer) -> Response {
    Response {
        status: answer.status.as_u16(),
        headers: header_list(&answer.headers),
        body: answer.body,
    }
}

/// Values that are not UTF-8 keep what of them is.
fn header_list(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

fn call_error(error: NoAnswer) -> CallError {
    let message = error.to_string();
    match error {
        NoAnswer::NotSent(_) => CallError::NotSent(message),
        NoAnswer::Unknown(_) => CallError::UnknownOutcome(message),
        NoAnswer::TooLarge { .. } => CallError::ResponseTooLarge(message),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
