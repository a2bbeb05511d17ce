//! What the kernel knows of the process. Where there is no `/proc`, or a file of
//! it does not read as expected, the metric is left out.

use std::fs;
use std::path::Path;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::catalog::{self, Definition, Kind};

/// `/proc` counts CPU time in hundredths of a second on every architecture that
/// wasmtime runs on (USER_HZ in the kernel's headers), whatever its own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc` at every scrape.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        for (definition, value) in read(Path::new("/proc")) {
            let type_ = match definition.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge | Kind::Histogram | Kind::Info => MetricType::Gauge,
            };
            let help = format!("{}.", definition.help);
            let mut metric = encoder.encode_descriptor(definition.family(), &help, None, type_)?;
            match definition.kind {
                Kind::Counter => metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
                Kind::Gauge | Kind::Histogram | Kind::Info => metric.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}

fn read(proc: &Path) -> Vec<(Definition, f64)> {
    let file = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
    let status = file("self/status");
    let stat = Stat::parse(&file("self/stat"));
    let start = stat
        .as_ref()
        .and_then(|stat| Some(boot_seconds(&file("stat"))? + stat.start_seconds));
    let values = [
        (
            catalog::CPU_SECONDS,
            stat.as_ref().map(|stat| stat.cpu_seconds),
        ),
        (catalog::RESIDENT_BYTES, kibibytes(&status, "VmRSS:")),
        (catalog::VIRTUAL_BYTES, kibibytes(&status, "VmSize:")),
        (catalog::START_SECONDS, start),
        (
            catalog::OPEN_FDS,
            fs::read_dir(proc.join("self/fd"))
                .ok()
                .map(|fds| fds.count() as f64),
        ),
        (
            catalog::MAX_FDS,
            soft_limit(&file("self/limits"), "Max open files"),
        ),
        (catalog::THREADS, field(&status, "Threads:")),
    ];
    values
        .into_iter()
        .filter_map(|(definition, value)| Some((definition, value?)))
        .collect()
}

/// Of `/proc/self/stat`.
struct Stat {
    cpu_seconds: f64,
    /// After the machine began.
    start_seconds: f64,
}

impl Stat {
    /// Fields are counted from behind the command's name, which may hold
    /// anything; see proc_pid_stat(5), where that name is field 2.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds =
            |number: usize| Some(fields.get(number - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
        Some(Self {
            cpu_seconds: seconds(14)? + seconds(15)?,
            start_seconds: seconds(22)?,
        })
    }
}

fn boot_seconds(stat: &str) -> Option<f64> {
    field(stat, "btime ")
}

fn kibibytes(status: &str, name: &str) -> Option<f64> {
    Some(field(status, name)? * 1024.0)
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// None when it is `unlimited`.
fn soft_limit(limits: &str, name: &str) -> Option<f64> {
    field(limits, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_a_name_that_holds_spaces_and_brackets() {
        let text = "7 (a ) 1 2) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 4 0 1200 9 9";
        let stat = Stat::parse(text).expect("all fields are there");
        assert!((stat.cpu_seconds - 2.0).abs() < 1e-9);
        assert!((stat.start_seconds - 12.0).abs() < 1e-9);
        assert!(Stat::parse("7 (cut) S 1 7").is_none());
    }

    #[test]
    fn what_is_missing_or_unlimited_is_left_out() {
        assert_eq!(
            soft_limit(
                "Max open files            unlimited  unlimited  files",
                "Max open files"
            ),
            None
        );
        assert_eq!(
            soft_limit(
                "Max open files            1024       4096       files",
                "Max open files"
            ),
            Some(1024.0)
        );
        assert!(read(Path::new("/nowhere")).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_every_value_and_they_are_plausible() {
        let values = read(Path::new("/proc"));
        let value = |definition: Definition| {
            values
                .iter()
                .find(|(d, _)| *d == definition)
                .map_or(f64::NAN, |(_, value)| *value)
        };
        let mib = 1024.0 * 1024.0;
        assert!(
            (mib..1024.0 * mib).contains(&value(catalog::RESIDENT_BYTES)),
            "{values:?}"
        );
        assert!(
            value(catalog::VIRTUAL_BYTES) >= value(catalog::RESIDENT_BYTES),
            "{values:?}"
        );
        assert!(
            value(catalog::THREADS) >= 1.0 && value(catalog::OPEN_FDS) >= 3.0,
            "{values:?}"
        );
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64();
        let age = now - value(catalog::START_SECONDS);
        assert!((-2.0..3600.0).contains(&age), "the process is {age} s old");
        assert!(
            value(catalog::CPU_SECONDS) <= age.max(0.1) * 1024.0,
            "{values:?}"
        );
    }
}
