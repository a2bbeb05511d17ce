//! What the `OTEL_*` variables say about traces.
//!
//! Names and meanings are those of the OpenTelemetry specification, "SDK
//! configuration" and "OTLP exporter". It lets an SDK pass over what does not
//! parse; here that is an error which names the variable, since a trace that is
//! missing is noticed when it is needed.

#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use http::Uri;

use super::sampler::Sampler;
use values::Reader;

/// How spans leave a host.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where batches are posted to.
    pub endpoint: Uri,
    pub headers: BTreeMap<String, String>,
    /// For one request, repetitions included.
    pub timeout: Duration,
    pub sampler: Sampler,
    /// What the host says of itself; `service.name` is always there.
    pub resource: BTreeMap<String, String>,
    pub batches: Batches,
}

/// How spans are gathered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// Spans that may wait; what comes beyond is dropped and counted.
    pub waiting_max: usize,
    /// Spans of one request, at most `waiting_max`.
    pub batch_max: usize,
    /// How long a batch that is not full waits.
    pub delay: Duration,
    /// For one batch, however it is sent.
    pub export_timeout: Duration,
}

/// A variable that cannot be used as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub variable: &'static str,
    /// What is wrong, and what to write.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.reason)
    }
}

/// The default of `OTEL_SERVICE_NAME`.
pub const SERVICE: &str = "wharf";
const COLLECTOR: &str = "http://localhost:4318";
const PATH: &str = "/v1/traces";

/// The specification's 2,048 and 512 are a quarter of a second of a busy host:
/// an event is about eight spans.
const WAITING_MAX: u64 = 16_384;
const BATCH_MAX: u64 = 2_048;

/// Reads the variables. None: no traces are wanted.
///
/// # Errors
/// Every variable that matters and cannot be used.
pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Config>, Vec<Problem>> {
    let mut reader = Reader::new(&get);
    let config = is_wanted(&mut reader).then(|| config(&mut reader));
    match reader.problems {
        problems if problems.is_empty() => Ok(config),
        problems => Err(problems),
    }
}

/// Off, unless an exporter is named or it is said where a collector is.
fn is_wanted(reader: &mut Reader<'_>) -> bool {
    if reader.flag("OTEL_SDK_DISABLED") {
        return false;
    }
    let named = reader.one_of("OTEL_TRACES_EXPORTER", &[("otlp", true), ("none", false)]);
    named.unwrap_or_else(|| {
        let places = [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ];
        places.iter().any(|name| reader.text(name).is_some())
    })
}

fn config(reader: &mut Reader<'_>) -> Config {
    refuse_what_is_not_built(reader);
    Config {
        endpoint: endpoint(reader),
        headers: headers(reader),
        timeout: timeout(reader),
        sampler: sampler(reader),
        resource: resource(reader),
        batches: batches(reader),
    }
}

/// A setting that would have no effect must not look as if it had.
fn refuse_what_is_not_built(reader: &mut Reader<'_>) {
    let protocol = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ];
    if let Some(name) = reader.first(protocol) {
        reader.one_of(name, &[("http/protobuf", ())]);
    }
    let compression = [
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
    ];
    if let Some(name) = reader.first(compression) {
        reader.one_of(name, &[("none", ())]);
    }
    for name in [
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    ] {
        if reader.text(name).is_some() {
            reader.wrong(
                name,
                "is not supported: a collector over https is checked against the system's \
                 certificates; unset it",
            );
        }
    }
}

fn endpoint(reader: &mut Reader<'_>) -> Uri {
    if let Some(exact) = reader.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "") {
        return exact;
    }
    let base = reader.url("OTEL_EXPORTER_OTLP_ENDPOINT", PATH);
    base.unwrap_or_else(|| {
        let usual = format!("{COLLECTOR}{PATH}");
        usual.parse().expect("the default is a URL")
    })
}

fn headers(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "OTEL_EXPORTER_OTLP_HEADERS",
    ];
    let Some(name) = reader.first(names) else {
        return BTreeMap::new();
    };
    let headers = reader.pairs(name);
    let usable = |(name, value): (&String, &String)| {
        http::HeaderName::from_bytes(name.as_bytes()).is_ok()
            && http::HeaderValue::from_str(value).is_ok()
    };
    if !headers.iter().all(usable) {
        reader.wrong(name, "holds what no header can carry");
    }
    headers
}

fn timeout(reader: &mut Reader<'_>) -> Duration {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
    ];
    let name = reader.first(names).unwrap_or(names[1]);
    reader.millis(name, 10_000)
}

fn sampler(reader: &mut Reader<'_>) -> Sampler {
    type Make = fn(f64) -> Sampler;
    const NAMES: [(&str, Make); 6] = [
        ("parentbased_always_on", |_| Sampler::parent_based(1.0)),
        ("parentbased_always_off", |_| Sampler::parent_based(0.0)),
        ("parentbased_traceidratio", Sampler::parent_based),
        ("always_on", |_| Sampler::ratio(1.0)),
        ("always_off", |_| Sampler::ratio(0.0)),
        ("traceidratio", Sampler::ratio),
    ];
    let make = reader.one_of("OTEL_TRACES_SAMPLER", &NAMES);
    let ratio = reader.share("OTEL_TRACES_SAMPLER_ARG", 1.0);
    make.unwrap_or(NAMES[0].1)(ratio)
}

fn resource(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut resource = reader.pairs("OTEL_RESOURCE_ATTRIBUTES");
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        resource.insert("service.name".into(), name);
    }
    resource
        .entry("service.name".into())
        .or_insert_with(|| SERVICE.into());
    resource
}

fn batches(reader: &mut Reader<'_>) -> Batches {
    const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
    let waiting_max = reader.count("OTEL_BSP_MAX_QUEUE_SIZE", WAITING_MAX);
    let batch_max = reader.count(BATCH, BATCH_MAX.min(waiting_max as u64));
    if batch_max > waiting_max {
        reader.wrong(
            BATCH,
            &format!(
                "is above OTEL_BSP_MAX_QUEUE_SIZE, {waiting_max}: no batch would ever be full"
            ),
        );
    }
    Batches {
        waiting_max,
        batch_max,
        delay: reader.millis("OTEL_BSP_SCHEDULE_DELAY", 5_000),
        export_timeout: reader.millis("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
    }
}
