//! Logs: one JSON object a line on stderr, or text for a terminal.
//!
//! A line has `time` (RFC 3339, UTC, milliseconds), `level`, `target`,
//! `message`, the fields of the spans around it from the outermost in, and its
//! own fields, which win. Lines of handlers have the target [`GUEST`], and
//! their field `fields` holds JSON text that becomes an object. Payloads have
//! no place in a log: whoever logs leaves them out.
//!
//! Whoever logs never waits for stderr: lines go through a bounded buffer to a
//! thread of their own, and what does not fit is dropped, counted and told.

mod fields;
mod layer;
mod line;
mod sink;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tracing::Level;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::Error;
use layer::LineLayer;
use sink::Sink;

/// The environment variable that holds a filter.
pub const FILTER_VARIABLE: &str = "WHARF_LOG";
/// The filter when none is given.
pub const FILTER_DEFAULT: &str = "info,async_nats=warn";
/// The target of lines that a handler wrote.
pub const GUEST: &str = "guest";
/// How long the last lines may take to be written when [`Logs`] is dropped.
pub const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For machines.
    Json,
    /// For people at a terminal.
    Text,
}

impl Format {
    /// Text when stderr is a terminal, else JSON.
    pub fn of_stderr() -> Self {
        if std::io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            _ => Err(Error::LogFormat {
                found: text.to_owned(),
            }),
        }
    }
}

/// Logs at work. Dropping it writes what is left, for [`FLUSH_MAX`] at most;
/// keep it until the process ends.
#[derive(Debug)]
pub struct Logs {
    sink: Sink,
    /// Stderr did not take what there was in time.
    given_up: AtomicBool,
}

/// Counts lines that were dropped because stderr was too slow.
#[derive(Debug, Clone, Default)]
pub struct Dropped(pub(crate) Counter);

impl Dropped {
    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.0.get()
    }
}

/// Sends all `tracing` events of the process to stderr, and panics as well.
/// `filter` has the syntax of `tracing_subscriber`'s `EnvFilter`:
/// `info,guest=debug,async_nats=warn`.
///
/// # Errors
/// [`Error::LogFilter`], [`Error::LogWriter`], [`Error::LogsInstalled`].
pub fn install(format: Format, filter: &str) -> Result<Logs, Error> {
    let (logs, layer) = begin(format, filter, std::io::stderr())?;
    tracing_subscriber::registry()
        .with(layer)
        .try_init()
        .map_err(|_| Error::LogsInstalled)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(logs)
}

impl Logs {
    /// Waits until everything logged so far is written. False when that took
    /// longer than `within`.
    pub fn flush(&self, within: Duration) -> bool {
        let written = self.sink.flush(within);
        self.given_up.store(!written, Ordering::Relaxed);
        written
    }

    /// The count of dropped lines, to be shown among the metrics.
    pub fn dropped(&self) -> Dropped {
        self.sink.dropped()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // A stderr that nobody reads must not keep the process from ending, and is
        // waited for once.
        if !self.given_up.load(Ordering::Relaxed) {
            self.flush(FLUSH_MAX);
        }
    }
}

fn begin(
    format: Format,
    filter: &str,
    writer: impl Write + Send + 'static,
) -> Result<(Logs, impl Layer<Registry> + Send + Sync), Error> {
    let unparsable = |e: &dyn std::error::Error| Error::LogFilter {
        filter: filter.to_owned(),
        reason: e.to_string(),
    };
    let filter = EnvFilter::try_new(filter).map_err(|e| unparsable(&e))?;
    let sink =
        Sink::start(writer, move |lines| line::dropped(format, lines)).map_err(Error::LogWriter)?;
    // A filter is about lines. What a warning happened in must be known even
    // where lines of the level of that span are hidden.
    let spans = filter_fn(|metadata| metadata.is_span() && *metadata.level() <= Level::INFO)
        .with_max_level_hint(LevelFilter::INFO);
    let layer = LineLayer::new(format, sink.clone()).with_filter(filter.or(spans));
    let logs = Logs {
        sink,
        given_up: AtomicBool::new(false),
    };
    Ok((logs, layer))
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic
        .payload_as_str()
        .unwrap_or("a panic without a message");
    let location = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    tracing::error!(target: "panic", location, "{message}");
}
