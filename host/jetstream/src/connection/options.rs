//! From [`Settings`] to the client's options, and from its errors to ours.

use super::credentials::KeyFile;
use super::settings::without_secrets;
use super::status::Monitor;
use super::{Auth, Purpose, Settings};
use crate::error::Error;
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr};
use std::error::Error as _;
use std::io;
use std::path::Path;
use std::sync::{Arc, Once};
use std::time::Duration;

/// Longest pause between two attempts to connect.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(2);
/// Commands that wait for the connection's task.
const COMMANDS_MAX: usize = 8192;
/// Messages that wait for one subscription; beyond it the client throws them
/// away, so it lies far above any pull's batch and any publisher's window.
const MESSAGES_MAX: usize = 131_072;

/// The client's options; reads the files that the settings name.
pub(super) async fn build(
    settings: &Settings,
    purpose: &Purpose,
    monitor: Arc<Monitor>,
) -> Result<ConnectOptions, Error> {
    install_crypto();
    let label = match purpose {
        Purpose::Control => "control",
        Purpose::Ledger => "ledger",
        Purpose::Emit => "emit",
        Purpose::Consume(handler) => handler,
    };
    let mut options = authenticated(&settings.auth)?
        .name(format!("{} {label}", settings.name))
        .client_capacity(COMMANDS_MAX)
        .subscription_capacity(MESSAGES_MAX)
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(super::REQUEST_TIMEOUT))
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(pause)
        .require_tls(settings.tls.required)
        .event_callback(move |event| {
            monitor.record(event);
            std::future::ready(())
        });
    if let Some(prefix) = &settings.inbox_prefix {
        options = options.custom_inbox_prefix(prefix);
    }
    tls(options, settings)
}

/// The settings' servers as the client takes them.
pub(super) fn addresses(settings: &Settings) -> Result<Vec<ServerAddr>, Error> {
    if settings.servers.is_empty() {
        return Err(Error::NoServers);
    }
    let parse = |server: &String| {
        server
            .parse::<ServerAddr>()
            .map_err(|error| Error::ServerAddress {
                server: without_secrets(server),
                reason: error.to_string(),
            })
    };
    settings.servers.iter().map(parse).collect()
}

/// The client's error in the words of an operator.
pub(super) fn classify(settings: &Settings, error: &ConnectError) -> Error {
    let servers = settings.servers_shown();
    let cause = io_cause(error);
    let reason = match error.source() {
        Some(source) => format!("{}: {source}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            Error::Unauthorized { servers }
        }
        ConnectErrorKind::Tls => Error::Tls { servers, reason },
        ConnectErrorKind::ServerParse => Error::ServerAddress {
            server: servers,
            reason,
        },
        // The handshake's failure reaches us as an io error around rustls' own.
        ConnectErrorKind::Io if is_tls(cause) => Error::Tls { servers, reason },
        ConnectErrorKind::Io
            if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused) =>
        {
            Error::Refused { servers }
        }
        ConnectErrorKind::Io
        | ConnectErrorKind::Dns
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::MaxReconnects => Error::Unreachable { servers, reason },
    }
}

/// The wait before attempt `attempt` (from 1) to connect again: up to half of
/// it is left to chance, so that hosts do not come back in one wave.
fn pause(attempt: usize) -> Duration {
    let exponent = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(10);
    let full = Duration::from_millis(20 << exponent).min(RETRY_MAX);
    full.mul_f64(rand::random_range(0.5..=1.0))
}

fn tls(mut options: ConnectOptions, settings: &Settings) -> Result<ConnectOptions, Error> {
    if let Some(ca) = &settings.tls.ca {
        readable(ca)?;
        options = options.add_root_certificates(ca.clone());
    }
    if let Some((certificate, key)) = &settings.tls.certificate {
        readable(certificate)?;
        readable(key)?;
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    if settings.tls.first {
        options = options.tls_first();
    }
    Ok(options)
}

fn authenticated(auth: &Auth) -> Result<ConnectOptions, Error> {
    let options = ConnectOptions::new();
    Ok(match auth {
        Auth::None => options,
        Auth::Credentials(file) => by_file(KeyFile::Credentials(file.clone()))?,
        Auth::User { user, password } => options.user_and_password(user.clone(), password.clone()),
        Auth::Token(token) => options.token(token.clone()),
        Auth::Nkey(file) => by_file(KeyFile::Nkey(file.clone()))?,
    })
}

fn by_file(file: KeyFile) -> Result<ConnectOptions, Error> {
    // What is wrong with it now is said now.
    file.read().map_err(|error| fault(file.path(), &error))?;
    Ok(ConnectOptions::with_auth_callback(move |nonce| {
        std::future::ready(file.answer(&nonce))
    }))
}

fn readable(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|error| fault(file, &error))
}

fn fault(file: &Path, error: &io::Error) -> Error {
    Error::File {
        file: file.to_owned(),
        reason: error.to_string(),
    }
}

fn io_cause(error: &ConnectError) -> Option<&io::Error> {
    std::iter::successors(error.source(), |cause| (*cause).source())
        .find_map(|cause| cause.downcast_ref::<io::Error>())
}

fn is_tls(cause: Option<&io::Error>) -> bool {
    let inner = cause.and_then(io::Error::get_ref);
    inner
        .and_then(|inner| inner.downcast_ref::<async_nats::rustls::Error>())
        .is_some()
}

/// One provider for the whole process, chosen here and not by whichever
/// library links another one.
fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the process has chosen already, which is as good.
        let _ = async_nats::rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_keep_some_chance() {
        for attempt in [0, 1, 2, 5, 8, 60, usize::MAX] {
            let pause = pause(attempt);
            assert!(pause >= Duration::from_millis(10), "{attempt}: {pause:?}");
            assert!(pause <= RETRY_MAX, "{attempt}: {pause:?}");
        }
        assert!(pause(40) >= RETRY_MAX / 2);
    }
}
