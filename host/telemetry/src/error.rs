//! What can go wrong when a host starts, or loads a handler.

/// Why logs cannot begin, or a handler's metrics cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("log format `{found}` is unknown; write `json` or `text`")]
    LogFormat { found: String },
    #[error("log filter `{filter}` does not parse: {reason}; write `info` or `info,guest=debug`")]
    LogFilter { filter: String, reason: String },
    #[error("logs are installed already; a process does so once")]
    LogsInstalled,
    #[error("the thread that writes logs does not start")]
    LogWriter(#[source] std::io::Error),
    #[error("traces cannot be exported: {0}")]
    TraceExport(String),
    #[error("metric `{metric}` begins like those of the host; give it another name")]
    MetricReserved { metric: String },
    #[error(
        "metric `{metric}` has another kind, other buckets or other labels in handler \
         `{other}`; a name has one shape on a host"
    )]
    MetricShape { metric: String, other: String },
    #[error("metrics `{metric}` and `{other}` would both be exposed as `{exposed}`; rename one")]
    MetricOverlap {
        metric: String,
        other: String,
        exposed: String,
    },
}
