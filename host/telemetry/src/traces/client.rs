//! The HTTP client of the exporter: the stack that the host's calls use too.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Instant, sleep_until, timeout_at};
use wharf_core::backoff::Backoff;

use super::otlp::Answer;
use crate::Error;

/// What a collector's answer may have; it is a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What the protocol calls retryable.
const PASSING: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
const TRIES_MAX: u32 = 4;
/// Before each repetition, at the least; at the most twice as long.
const BACKOFF: Backoff = Backoff {
    initial: Duration::from_millis(100),
    factor: 2.0,
    cap: Duration::from_millis(400),
};

#[derive(Debug)]
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
}

impl Client {
    /// The system's certificates are read only for a collector over https.
    pub(super) fn new(https: bool, timeout: Duration) -> Result<Self, Error> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(https)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        Ok(Self { pool, timeout })
    }

    /// Sends it, and again a few times where the protocol says that this may help
    /// ("OTLP/HTTP", "Failures"), all within one time-out. What the collector says
    /// when it takes it.
    ///
    /// # Errors
    /// Why the collector did not take it.
    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let due = Instant::now() + self.timeout;
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = timeout_at(due, self.send_once(request.clone())).await;
            let Refused { reason, again } = match sent {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(refused)) => refused,
                Err(_) => return Err("no answer within OTEL_EXPORTER_OTLP_TIMEOUT".to_owned()),
            };
            let Some(after) = again.filter(|_| tries < TRIES_MAX) else {
                return Err(reason);
            };
            // Hosts that were refused together do not come back together.
            let jitter = BACKOFF.delay_ms(tries, None, rand::random());
            let pause = Duration::from_millis(BACKOFF.ceiling_ms(tries) + jitter);
            let next = Instant::now() + after + pause;
            if next >= due {
                return Err(reason);
            }
            sleep_until(next).await;
        }
    }

    async fn send_once(&self, request: Request<Full<Bytes>>) -> Result<Answer, Refused> {
        let answer = self.pool.request(request).await;
        let (head, body) = answer.map_err(|e| Refused::passing(told(&e)))?.into_parts();
        // To its end also where nothing is made of it, so that the connection can be
        // used again. The status has said by now what became of the request.
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        if head.status.is_success() {
            let answer = body.ok().map(|body| Answer::decode(body.to_bytes()));
            return Ok(answer.and_then(Result::ok).unwrap_or_default());
        }
        let wait = head.headers.get(RETRY_AFTER).and_then(seconds);
        Err(Refused {
            reason: format!("it answered {}", head.status),
            again: PASSING
                .contains(&head.status)
                .then_some(wait.unwrap_or_default()),
        })
    }
}

/// Why a request was not taken.
struct Refused {
    reason: String,
    /// It may be sent again, after this time at the earliest.
    again: Option<Duration>,
}

impl Refused {
    fn passing(reason: String) -> Self {
        Self {
            reason,
            again: Some(Duration::ZERO),
        }
    }
}

/// A date would have to be compared with the collector's clock; a number is what
/// they send.
fn seconds(value: &HeaderValue) -> Option<Duration> {
    let seconds: u32 = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// With what is behind it, such as a refused connection.
fn told(error: &hyper_util::client::legacy::Error) -> String {
    let mut told = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(error) = behind {
        told = format!("{told}: {error}");
        behind = error.source();
    }
    told
}

fn tls(wanted: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::TraceExport(error.to_string()))?;
    let builder = if wanted {
        builder.with_native_roots().map_err(|error| {
            Error::TraceExport(format!("the system's certificates cannot be read: {error}"))
        })?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}
