//! One call: let in by the gate, sent once, and told exactly.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::connect::capture_connection;
use tokio::time::{Instant, timeout_at};

use super::request::Checked;
use super::{Need, Outbound, Places};

/// What the host adds to a checked request.
#[derive(Debug)]
pub(crate) struct Terms {
    /// Header and value under which a repeated call is known.
    pub(crate) idempotency: Option<(HeaderName, HeaderValue)>,
    pub(crate) traceparent: Option<HeaderValue>,
    /// No answer after this instant is waited for.
    pub(crate) until: Instant,
    pub(crate) response_bytes_max: u64,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer. The texts are for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    /// Certainly not sent.
    #[error("{0}")]
    NotSent(String),
    /// It may have been carried out.
    #[error("{0}")]
    Unknown(String),
    /// An answer came, too large to keep.
    #[error("the answer has more than {max} bytes: limits.response_bytes")]
    TooLarge {
        status: StatusCode,
        retry_after: Option<Duration>,
        max: u64,
    },
}

impl Outbound {
    /// Calls a need and reads the whole answer.
    ///
    /// # Errors
    ///
    /// Why there is no answer, and whether the request may have been sent.
    ///
    /// # Cancel safety
    ///
    /// A dropped call gives its slot back and closes its connection. The
    /// request may have been sent.
    pub(crate) async fn send(
        &self,
        need: &str,
        request: Checked,
        terms: Terms,
    ) -> Result<Answer, NoAnswer> {
        let places = self.places.load_full();
        let Some(place) = places.needs.get(need) else {
            let reason = format!("no place is known for the need `{need}`: add it to needs.toml");
            return Err(NoAnswer::NotSent(reason));
        };
        let passage = place
            .gate
            .enter()
            .map_err(|closed| NoAnswer::NotSent(closed.to_string()))?;
        let result = places.exchange(place, request, &terms).await;
        drop(passage);
        result
    }
}

impl Places {
    async fn exchange(
        &self,
        need: &Need,
        request: Checked,
        terms: &Terms,
    ) -> Result<Answer, NoAnswer> {
        let mut request = need.request(request, terms)?;
        // Tells, at a time-out, whether a connection had been found for it.
        let connection = capture_connection(&mut request);
        let answered = timeout_at(terms.until, self.http.request(request)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(NoAnswer::NotSent(chain(&error))),
            Ok(Err(error)) => return Err(NoAnswer::Unknown(chain(&error))),
            Err(_) if connection.connection_metadata().is_none() => {
                return Err(NoAnswer::NotSent(
                    "no connection within the time-out".to_owned(),
                ));
            }
            Err(_) => {
                return Err(NoAnswer::Unknown(
                    "no answer within the time-out".to_owned(),
                ));
            }
        };
        match timeout_at(terms.until, read(response, terms.response_bytes_max)).await {
            Ok(read) => read,
            Err(_) => Err(NoAnswer::Unknown(
                "no whole answer within the time-out".to_owned(),
            )),
        }
    }
}

impl Need {
    fn request(&self, checked: Checked, terms: &Terms) -> Result<Request<Full<Bytes>>, NoAnswer> {
        let Some(uri) = self.address.join(&checked.path) else {
            return Err(NoAnswer::NotSent("the path makes no address".to_owned()));
        };
        let mut request = Request::new(Full::new(checked.body));
        *request.method_mut() = checked.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = checked.headers;
        let headers = request.headers_mut();
        if let Some((name, value)) = &self.auth {
            headers.insert(name.clone(), value.clone());
        }
        if let Some((name, value)) = &terms.idempotency {
            headers.insert(name.clone(), value.clone());
        }
        if let Some(traceparent) = &terms.traceparent {
            headers.insert(HeaderName::from_static("traceparent"), traceparent.clone());
        }
        Ok(request)
    }
}

/// Reads a body up to `max` bytes, and no further.
async fn read(response: Response<Incoming>, max: u64) -> Result<Answer, NoAnswer> {
    let (head, mut incoming) = response.into_parts();
    let too_large = || NoAnswer::TooLarge {
        status: head.status,
        retry_after: retry_after(&head.headers, SystemTime::now()),
        max,
    };
    if incoming.size_hint().lower() > max {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| NoAnswer::Unknown(chain(&error)))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if (body.len() + data.len()) as u64 > max {
            return Err(too_large());
        }
        body.extend_from_slice(&data);
    }
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body,
    })
}

/// How long the need asks to be left alone: seconds, or a date of HTTP.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(Duration::from_secs(u64::from(seconds)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// An error with its causes; the outermost alone says little.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))])
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers(value), now), expected, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
