//! What a person sees while orders run: one block that is drawn again on a
//! terminal, one line every two seconds elsewhere.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::speak::write_or_lose;
use super::watch::Tally;
use crate::metrics::Samples;

/// Between two looks at the shop.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two lines where nothing can be drawn over.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// How one handler does.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerRate {
    pub name: String,
    pub per_second: f64,
    /// Seconds; None without events in the time looked at.
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

/// Compares two scrapes that lie `apart`.
pub fn rates(before: &Samples, now: &Samples, apart: Duration) -> Vec<HandlerRate> {
    let events =
        |samples: &Samples, name: &str| samples.sum("wharf_events_total", &[("handler", name)]);
    let times = |samples: &Samples, name: &str| {
        samples.histogram("wharf_event_duration_seconds", &[("handler", name)])
    };
    let handlers = now.values("wharf_events_total", "handler").into_iter();
    let rate = |name: String| {
        let since = times(now, &name).since(&times(before, &name));
        let count = (events(now, &name) - events(before, &name)).max(0.0);
        let per_second = count / apart.as_secs_f64().max(f64::EPSILON);
        HandlerRate {
            per_second,
            p50: since.quantile(0.5),
            p99: since.quantile(0.99),
            name,
        }
    };
    handlers.map(rate).collect()
}

/// One moment of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    pub elapsed: Duration,
    pub orders: u64,
    pub tally: Tally,
    pub handlers: Vec<HandlerRate>,
}

impl Frame {
    /// The whole block, for a terminal.
    pub fn block(&self) -> String {
        let mut text = format!("{}\n", self.line());
        for handler in &self.handlers {
            let _ = writeln!(
                text,
                "  {:<14} {:>8.0}/s   p50 {:>9}   p99 {:>9}",
                handler.name,
                handler.per_second,
                milliseconds(handler.p50),
                milliseconds(handler.p99),
            );
        }
        text
    }

    /// The same without the handlers.
    pub fn line(&self) -> String {
        let tally = &self.tally;
        let in_flight = tally.placed.saturating_sub(tally.ended());
        let mut text = format!(
            "{:>6.1} s  placed {}/{}  confirmed {}  rejected {}  in flight {in_flight}",
            self.elapsed.as_secs_f64(),
            tally.placed,
            self.orders,
            tally.confirmed,
            tally.rejected,
        );
        if tally.cancelled > 0 {
            let _ = write!(text, "  cancelled {}", tally.cancelled);
        }
        text
    }
}

/// Where frames go: standard error, since standard output is for the report.
pub struct Screen {
    terminal: bool,
    drawn_lines: usize,
    last_line: Option<Instant>,
}

impl Screen {
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            terminal,
            drawn_lines: 0,
            last_line: None,
        }
    }

    /// Shows a frame, unless it is too early for the next line.
    pub fn show(&mut self, frame: &Frame, now: Instant) {
        let text = if self.terminal {
            let block = frame.block();
            let over = self.back_to_top();
            self.drawn_lines = block.lines().count();
            over + &block
        } else {
            if self
                .last_line
                .is_some_and(|last| now.duration_since(last) < LINE_EVERY)
            {
                return;
            }
            self.last_line = Some(now);
            frame.line() + "\n"
        };
        write_or_lose(std::io::stderr(), &text);
    }

    fn back_to_top(&self) -> String {
        match self.drawn_lines {
            0 => String::new(),
            // Up to the block's first line, and clear from there.
            lines => format!("\x1b[{lines}F\x1b[J"),
        }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

fn milliseconds(seconds: Option<f64>) -> String {
    seconds.map_or("-".into(), |seconds| format!("{:.1} ms", seconds * 1_000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_tells_what_moves_and_how_fast() {
        let before = Samples::parse("wharf_events_total{handler=\"order\",outcome=\"ok\"} 10");
        let now = Samples::parse(
            "wharf_events_total{handler=\"order\",outcome=\"ok\"} 110\n\
             wharf_event_duration_seconds_bucket{handler=\"order\",le=\"0.002\"} 100\n\
             wharf_event_duration_seconds_bucket{handler=\"order\",le=\"+Inf\"} 100\n",
        );
        let tally = Tally {
            placed: 30,
            confirmed: 20,
            rejected: 4,
            ..Tally::default()
        };
        let handlers = rates(&before, &now, Duration::from_millis(500));
        let frame = Frame {
            elapsed: Duration::from_secs(3),
            orders: 100,
            tally,
            handlers,
        };
        let block = frame.block();
        assert!(
            block.contains("placed 30/100  confirmed 20  rejected 4  in flight 6"),
            "{block}"
        );
        assert!(
            block.contains("200/s   p50    1.0 ms   p99    2.0 ms"),
            "{block}"
        );
        assert!(!frame.line().contains("cancelled"));
    }
}
