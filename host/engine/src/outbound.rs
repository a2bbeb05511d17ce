//! Calls to needs: the only way from a handler to the outside.
//!
//! The place of a need (address, credentials, slots) comes from the operator
//! and is never seen by a guest. A call goes out once: nothing here sends again.
//! What it tells afterwards is exact about one thing, whether the request may
//! have left the host, since a second charge hangs on it. Redirects are not
//! followed; no proxy is used.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use self::address::Address;
use self::gate::Gate;
use crate::error::Error;

mod address;
mod gate;
mod path;
pub(crate) mod request;
pub(crate) mod send;
pub(crate) mod trace;

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Servers close idle connections, often after 60 s; giving ours up first keeps
/// calls from meeting a connection that is just going away.
const IDLE: Duration = Duration::from_secs(20);
const IDLE_PER_HOST_MAX: usize = 32;
const RESPONSE_HEAD_BYTES_MAX: usize = 64 << 10;
const RESPONSE_HEADERS_MAX: usize = 100;

/// Where a need is, as `needs.toml` says, with secrets filled in.
#[derive(Clone)]
pub struct Place {
    /// `http://` or `https://`, without query; a call's path is appended.
    pub url: String,
    /// A header that is added to every call, and its value.
    pub auth: Option<(String, String)>,
    /// Calls at once, all handlers together; at least 1.
    pub max_in_flight: u32,
}

/// The value of a credential never reaches a log.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("url", &self.url)
            .field("auth", &self.auth.as_ref().map(|(header, _)| header))
            .field("max_in_flight", &self.max_in_flight)
            .finish()
    }
}

/// All needs of an environment, with one pool of connections. Where they are
/// may change while calls run: a call ends where it began.
pub struct Outbound {
    places: ArcSwap<Places>,
}

/// Where the needs are at one time.
struct Places {
    http: Http,
    /// Whether the client knows the system's certificates.
    tls: bool,
    needs: BTreeMap<String, Need>,
}

/// One need, ready to be called.
#[derive(Clone)]
struct Need {
    address: Address,
    auth: Option<(HeaderName, HeaderValue)>,
    gate: Arc<Gate>,
}

impl Outbound {
    /// Checks every place.
    ///
    /// # Errors
    ///
    /// The first need whose address or credential cannot be used; that the
    /// system has no certificates although a need is reached by `https`.
    pub fn new(places: BTreeMap<String, Place>) -> Result<Self, Error> {
        let places = ArcSwap::from_pointee(Places::new(places, None)?);
        Ok(Self { places })
    }

    /// From now on the needs are there. Connections and slots of those that did
    /// not move are kept.
    ///
    /// # Errors
    ///
    /// As [`Outbound::new`]; then nothing has changed.
    pub fn set(&self, places: BTreeMap<String, Place>) -> Result<(), Error> {
        let before = self.places.load_full();
        self.places
            .store(Arc::new(Places::new(places, Some(&before))?));
        Ok(())
    }

    /// Whether it is known where the need is.
    pub fn has(&self, need: &str) -> bool {
        self.places.load().needs.contains_key(need)
    }

    /// For handlers that need nothing.
    ///
    /// # Errors
    ///
    /// As [`Outbound::new`].
    pub fn none() -> Result<Self, Error> {
        Self::new(BTreeMap::new())
    }

    /// Calls to this need that run now; none when it has no place.
    pub fn in_flight(&self, need: &str) -> Option<u32> {
        let places = self.places.load();
        places.needs.get(need).map(|need| need.gate.in_flight())
    }

    /// Where the need is now.
    pub(crate) fn server(&self, need: &str) -> Option<trace::Server> {
        let places = self.places.load();
        places.needs.get(need).map(|need| need.address.server())
    }

    /// The header that carries the need's credential, lower case.
    pub(crate) fn auth_header(&self, need: &str) -> Option<HeaderName> {
        let places = self.places.load();
        let auth = places.needs.get(need)?.auth.as_ref();
        auth.map(|(name, _)| name.clone())
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.places.load().needs.keys())
            .finish()
    }
}

impl Places {
    fn new(places: BTreeMap<String, Place>, before: Option<&Self>) -> Result<Self, Error> {
        let mut needs = BTreeMap::new();
        for (name, place) in places {
            let mut need = Need::new(name.clone(), place)?;
            let known = before.and_then(|before| before.needs.get(&name));
            if let Some(known) = known.filter(|known| known.gate.max() == need.gate.max()) {
                need.gate = known.gate.clone();
            }
            needs.insert(name, need);
        }
        let tls = needs.values().any(|need| need.address.is_https());
        let known = before.filter(|before| before.tls || !tls);
        let (http, tls) = match known {
            Some(known) => (known.http.clone(), known.tls),
            None => (client(tls)?, tls),
        };
        Ok(Self { http, tls, needs })
    }
}

impl Need {
    fn new(name: String, place: Place) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Place {
            need: name.clone(),
            reason,
        };
        let address = Address::parse(&place.url).map_err(&refuse)?;
        if place.max_in_flight == 0 {
            return Err(refuse(
                "max_in_flight is 0; at least 1 is needed".to_owned(),
            ));
        }
        let auth = match &place.auth {
            None => None,
            Some((header, value)) => Some(credential(header, value).map_err(&refuse)?),
        };
        Ok(Self {
            address,
            auth,
            gate: Arc::new(Gate::new(place.max_in_flight)),
        })
    }
}

fn credential(header: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let name = HeaderName::from_bytes(header.as_bytes())
        .map_err(|_| format!("auth.header {header:?} is not a header name"))?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| "auth.value has characters that a header cannot carry".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn client(tls: bool) -> Result<Http, Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls_config(tls)?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    // A pooled connection that died before a byte of the request was written
    // hands the request back, and then, only then, the client takes another
    // connection. Nothing that may have been sent is sent again.
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .retry_canceled_requests(true)
        .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
        .http1_max_headers(RESPONSE_HEADERS_MAX)
        .build(connector))
}

/// The system's certificates are read only when a need is reached by `https`.
fn tls_config(wanted: bool) -> Result<ClientConfig, Error> {
    use hyper_rustls::ConfigBuilderExt;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls {
            reason: error.to_string(),
        })?;
    let builder = if wanted {
        builder.with_native_roots().map_err(|error| Error::Tls {
            reason: error.to_string(),
        })?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place {
            url: url.into(),
            auth: None,
            max_in_flight: 1,
        }
    }

    fn refusal(place: Place) -> String {
        let places = BTreeMap::from([("gateway".to_owned(), place)]);
        Outbound::new(places)
            .expect_err("must be refused")
            .to_string()
    }

    #[test]
    fn a_place_that_cannot_be_used_is_refused_with_the_need_named() {
        let auth = |header: &str, value: &str| Place {
            auth: Some((header.into(), value.into())),
            ..place("http://localhost")
        };
        for (place, reason) in [
            (place("ftp://localhost"), "scheme"),
            (place("not a url"), "not a URL"),
            (
                Place {
                    max_in_flight: 0,
                    ..place("http://localhost")
                },
                "max_in_flight",
            ),
            (auth("a b", "c"), "not a header name"),
            (auth("authorization", "a\nb"), "cannot carry"),
        ] {
            let text = refusal(place);
            assert!(text.contains("gateway") && text.contains(reason), "{text}");
        }
    }

    #[test]
    fn a_credential_is_not_in_the_debug_text() {
        let place = Place {
            auth: Some(("x-key".into(), "s3cret".into())),
            ..place("http://h")
        };
        let text = format!("{place:?}");
        assert!(text.contains("x-key") && !text.contains("s3cret"), "{text}");
    }
}
