//! What one attempt writes: `log.write`, stdout and stderr.
//!
//! Lines go out as `tracing` events with the target `guest` while the attempt
//! runs. One budget covers all three; what goes beyond it is counted and not
//! kept. The end of stderr is kept besides, since it tells why a guest trapped.

use std::fmt;
use std::sync::Arc;

use serde::Serializer;
use wharf_core::contract::Event;

use crate::bindings::log::Level;
use crate::outbound::trace::Trace;
use crate::text;

/// Longer lines of stdout and stderr are split.
const LINE_BYTES_MAX: usize = 8 << 10;

/// What a line of `log.write` costs beside its text, for what the host adds:
/// empty lines must not be free.
const LINE_COST: usize = 32;

/// Who is speaking: the keys that every line carries.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) handler: Arc<str>,
    /// The short form of the component's digest.
    pub(crate) version: Arc<str>,
    pub(crate) event: Arc<Event>,
    pub(crate) trace: Trace,
}

/// The lines of one attempt.
#[derive(Debug)]
pub(crate) struct Journal {
    speaker: Option<Speaker>,
    budget: u64,
    cut_bytes: u64,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_tail: Vec<u8>,
}

/// Where a line of bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

impl Journal {
    /// A journal without a speaker is silent: for the trial start at load.
    pub(crate) fn new(speaker: Option<Speaker>, budget: u64) -> Self {
        Self {
            speaker,
            budget,
            cut_bytes: 0,
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_tail: Vec::new(),
        }
    }

    /// One call of `log.write`.
    pub(crate) fn write(&mut self, level: Level, message: &str, fields: &[(String, String)]) {
        let texts = fields
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
        let wanted = (LINE_COST + message.len() + texts) as u64;
        if wanted <= self.budget {
            self.budget -= wanted;
            self.emit(level, message, fields);
            return;
        }
        let left = usize::try_from(std::mem::take(&mut self.budget)).unwrap_or(usize::MAX);
        let kept = text::head(message, left.saturating_sub(LINE_COST));
        self.cut_bytes += wanted - kept.len() as u64;
        if !kept.is_empty() {
            self.emit(level, kept, &[]);
        }
    }

    /// Bytes that the guest wrote to stdout or stderr, in pieces of any size.
    pub(crate) fn print(&mut self, source: Source, bytes: &[u8]) {
        if source == Source::Stderr {
            keep_tail(&mut self.stderr_tail, bytes);
        }
        let left = usize::try_from(self.budget).unwrap_or(usize::MAX);
        let kept = &bytes[..bytes.len().min(left)];
        self.budget -= kept.len() as u64;
        self.cut_bytes += (bytes.len() - kept.len()) as u64;
        let lines = kept.split_inclusive(|byte| *byte == b'\n');
        for piece in lines.flat_map(|line| line.chunks(LINE_BYTES_MAX)) {
            self.pending(source).extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.pending(source).len() >= LINE_BYTES_MAX {
                self.print_line(source);
            }
        }
    }

    /// Ends the attempt: prints lines that were not finished, and says once
    /// when something was cut. Returns how many bytes were.
    pub(crate) fn finish(&mut self) -> u64 {
        self.print_line(Source::Stdout);
        self.print_line(Source::Stderr);
        if self.cut_bytes > 0 {
            let message = format!(
                "{} bytes of log lines were cut: limits.log_bytes",
                self.cut_bytes
            );
            self.emit(Level::Warn, &message, &[]);
        }
        self.cut_bytes
    }

    /// The end of what the guest wrote to stderr.
    pub(crate) fn stderr_tail(&self) -> String {
        text::cut(
            String::from_utf8_lossy(&self.stderr_tail)
                .trim_end()
                .to_owned(),
        )
    }

    fn pending(&mut self, source: Source) -> &mut Vec<u8> {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    fn print_line(&mut self, source: Source) {
        let line = std::mem::take(self.pending(source));
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if !line.is_empty() {
            let level = match source {
                Source::Stdout => Level::Info,
                Source::Stderr => Level::Warn,
            };
            self.emit(level, line, &[]);
        }
    }

    fn emit(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let Some(speaker) = &self.speaker else { return };
        macro_rules! line {
            ($level:ident) => {
                tracing::event!(
                    target: "guest",
                    tracing::Level::$level,
                    handler = &*speaker.handler,
                    version = &*speaker.version,
                    event_id = speaker.event.id,
                    key = speaker.event.key,
                    trace_id = speaker.trace.id(),
                    fields = %Json(fields),
                    "{}",
                    text::printable(message),
                )
            };
        }
        match level {
            Level::Trace => line!(TRACE),
            Level::Debug => line!(DEBUG),
            Level::Info => line!(INFO),
            Level::Warn => line!(WARN),
            Level::Error => line!(ERROR),
        }
    }
}

fn keep_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    let new = &bytes[bytes.len().saturating_sub(text::TEXT_BYTES_MAX)..];
    let surplus = (tail.len() + new.len()).saturating_sub(text::TEXT_BYTES_MAX);
    tail.drain(..surplus);
    tail.extend_from_slice(new);
}

/// A guest's fields as the text of a JSON object; empty when there are none.
struct Json<'a>(&'a [(String, String)]);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        let clean = self
            .0
            .iter()
            .map(|(k, v)| (text::printable(k), text::printable(v)));
        let mut out = Vec::new();
        serde_json::Serializer::new(&mut out)
            .collect_map(clean)
            .map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests;
