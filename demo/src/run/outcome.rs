//! What a demo has to say at its end.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::progress::HandlerRate;
use super::swap::Swaps;
use crate::Report;
use crate::process::Memory;

/// The report, and how fast and how large the host was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    #[serde(flatten)]
    pub report: Report,
    /// From the first order to the last thing that moved.
    pub seconds: f64,
    pub orders_per_second: f64,
    /// Events handled, each counted once for each handler that it went to.
    pub events_per_second: f64,
    /// How far the load fell behind its own plan, at most.
    pub load_lag_ms_max: f64,
    pub handlers: Vec<HandlerTotals>,
    /// With `--swap`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swaps: Option<Swaps>,
    /// None when the host was gone.
    pub host_memory: Option<Memory>,
}

/// One handler over the whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HandlerTotals {
    pub name: String,
    pub events_per_second: f64,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl From<HandlerRate> for HandlerTotals {
    fn from(rate: HandlerRate) -> Self {
        let ms = |seconds: Option<f64>| seconds.map(|seconds| seconds * 1_000.0);
        let HandlerRate {
            name,
            per_second,
            p50,
            p99,
        } = rate;
        Self {
            name,
            events_per_second: per_second,
            p50_ms: ms(p50),
            p99_ms: ms(p99),
        }
    }
}

impl Outcome {
    /// 0 when everything balances, else 1.
    pub fn exit_code(&self) -> u8 {
        u8::from(!self.report.balanced)
    }

    /// The same as one JSON document.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain structs with text keys serialize")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        writeln!(out, "{}", self.report)?;
        writeln!(
            out,
            "{:.0} orders/s, {:.0} events/s over {:.1} s; the load lagged {:.0} ms at most",
            self.orders_per_second, self.events_per_second, self.seconds, self.load_lag_ms_max
        )?;
        let ms = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.1} ms"));
        for handler in &self.handlers {
            let (p50, p99) = (ms(handler.p50_ms), ms(handler.p99_ms));
            let rate = handler.events_per_second;
            writeln!(
                out,
                "  {:<14} {rate:>8.0}/s   p50 {p50:>9}   p99 {p99:>9}",
                handler.name
            )?;
        }
        if let Some(swaps) = &self.swaps {
            writeln!(out, "{swaps}")?;
        }
        match &self.host_memory {
            Some(memory) => writeln!(
                out,
                "host memory {:.0} MiB now, {:.0} MiB at most",
                memory.resident_bytes as f64 / MIB,
                memory.resident_max_bytes as f64 / MIB
            ),
            None => writeln!(out, "host memory unknown: it was gone"),
        }
    }
}

/// Events a second, safe for no time at all.
pub fn per_second(count: f64, time: Duration) -> f64 {
    if time.is_zero() {
        0.0
    } else {
        count / time.as_secs_f64()
    }
}
