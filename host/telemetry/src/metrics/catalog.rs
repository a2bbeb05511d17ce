//! Every metric of the host: name, kind, labels and meaning.

/// What is known of a metric before it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// As it is queried: a counter ends in `_total`; a histogram has samples
    /// that end in `_bucket`, `_sum` and `_count` besides.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    /// One sentence without its full stop.
    pub help: &'static str,
}

/// What a metric's value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
    /// Always 1; the labels say it.
    Info,
}

impl Kind {
    /// As exposition and documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What the exposition appends to the name of such a family.
    fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

impl Definition {
    /// The name in `# TYPE` lines.
    pub fn family(&self) -> &'static str {
        self.name
            .strip_suffix(self.kind.suffix())
            .expect("a name ends as its kind does")
    }
}

/// Names that begin so are the host's.
pub(super) const PREFIXES: [&str; 2] = ["wharf_", "process_"];

macro_rules! definitions {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Definition =
            Definition { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };)*

        /// All metrics of the host itself.
        pub const HOST: &[Definition] = &[$($id),*];
    };
}

definitions! {
    EVENTS = Counter "wharf_events_total" ["handler", "outcome"]
        "Events by what became of their delivery";
    EVENT_SECONDS = Histogram "wharf_event_duration_seconds" ["handler"]
        "Time from the delivery of an event until it settles, holding included";
    UNSETTLED = Gauge "wharf_unsettled" ["handler", "state"]
        "Events that are not settled, and parked ones, each in exactly one state";
    LAG = Gauge "wharf_lag_events" ["handler"]
        "Events in the stream that the handler has not come to";
    WATERMARK = Gauge "wharf_watermark" ["handler", "partition"]
        "Sequence up to which everything is settled, as the owner knows it";
    OWNER = Gauge "wharf_owner" ["handler", "partition"]
        "1 where this host owns the partition, else 0";
    ATTEMPTS = Counter "wharf_attempts_total" ["handler", "result"]
        "Attempts by what they came to";
    ATTEMPT_SECONDS = Histogram "wharf_attempt_duration_seconds" ["handler"]
        "Time of an attempt, calls to the host included";
    INSTANCES_STARTED = Counter "wharf_instances_started_total" ["handler"]
        "Attempts for which an instance was started; the others used one again";
    COMMIT_SECONDS = Histogram "wharf_commit_duration_seconds" ["handler"]
        "Time until a record's write is answered";
    COMMIT_CONFLICTS = Counter "wharf_commit_conflicts_total" ["handler"]
        "Commits that lost to another write of the same record";
    PUBLISH_SECONDS = Histogram "wharf_publish_duration_seconds" ["handler"]
        "Time until all emissions of a commit are acknowledged";
    EMISSIONS = Counter "wharf_emissions_total" ["handler"]
        "Emissions that were acknowledged";
    SOURCE_LOST = Counter "wharf_source_lost_events_total" ["handler"]
        "Events that were gone from the source stream, or from the queue, before they were handled";
    IDS_EVICTED = Counter "wharf_ids_evicted_early_total" ["handler"]
        "Event ids forgotten before their time because too many came";
    READER_REOPENED = Counter "wharf_reader_reopened_total" ["handler", "reason"]
        "Readers that were replaced, by why";
    LOG_BYTES_CUT = Counter "wharf_guest_log_bytes_cut_total" ["handler"]
        "Bytes of guest log lines beyond their limit";
    METRICS_DROPPED = Counter "wharf_metrics_dropped_total" ["handler"]
        "Guest observations that were not declared, not numbers or too many";
    NEED_CALLS = Counter "wharf_need_calls_total" ["need", "result"]
        "Calls to a need by result";
    NEED_SECONDS = Histogram "wharf_need_call_duration_seconds" ["need"]
        "Time of a call to a need";
    INSTANCES = Gauge "wharf_instances" []
        "WebAssembly instances that exist now";
    INSTANCES_MAX = Gauge "wharf_instances_max" []
        "WebAssembly instances that may exist at once";
    LOG_LINES_DROPPED = Counter "wharf_log_lines_dropped_total" []
        "Log lines that were dropped because stderr was read too slowly";
    SPANS_EXPORTED = Counter "wharf_spans_exported_total" []
        "Spans that a collector has taken";
    SPANS_DROPPED = Counter "wharf_spans_dropped_total" ["reason"]
        "Spans that no collector will see, by why";
    BUILD = Info "wharf_build_info" ["version"]
        "The host that runs";
    CPU_SECONDS = Counter "process_cpu_seconds_total" []
        "CPU time of the process, user and system";
    RESIDENT_BYTES = Gauge "process_resident_memory_bytes" []
        "Memory of the process that is in RAM";
    VIRTUAL_BYTES = Gauge "process_virtual_memory_bytes" []
        "Address space of the process, most of it reserved and unused";
    START_SECONDS = Gauge "process_start_time_seconds" []
        "When the process began, in seconds since 1970";
    OPEN_FDS = Gauge "process_open_fds" []
        "File descriptors in use";
    MAX_FDS = Gauge "process_max_fds" []
        "File descriptors that may be in use";
    THREADS = Gauge "process_threads" []
        "Threads of the process";
}
