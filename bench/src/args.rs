//! The flags of the yardstick.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::pipeline::Instance;

/// Measure what Wharf costs, beside the same work by hand.
///
/// Each row is measured several times, in turn with what it is compared with,
/// on a fresh nats-server; the table shows medians, and ratios of neighbours.
/// docs/bench.md says what each row is. Exit code 0: the chosen rows were
/// measured, and with --check their bounds hold; 1: they were not, or one does not.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "bench",
    version,
    after_help = "Examples:
  bench --check --json bench.json
  bench --only at-least-once,by-key --events 200000 --runs 3
  bench --quick"
)]
pub struct Args {
    /// What to measure [default: everything].
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Samples of each row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    pub runs: u8,
    /// Events of a pipeline row.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(200..=2_000_000))]
    pub events: u64,
    /// Events a second where the critical time is measured.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(10..=100_000), conflicts_with = "quick")]
    pub rate: u32,
    /// Whether the pipeline's guest memory lives from one event to the next.
    #[arg(long, value_enum, default_value_t = Instance::Fresh)]
    pub instance: Instance,
    /// Twins that write less than the host: emissions with an id and no other
    /// attribute, records of 256 bytes.
    #[arg(long)]
    pub lean_twins: bool,
    /// Leave out the rows with spans on.
    #[arg(long)]
    pub no_spans: bool,
    /// Orders that the shop handles.
    #[arg(long, default_value_t = 5_000)]
    pub orders: u32,
    /// Few events, one sample: shows that everything works, and little else.
    #[arg(long, conflicts_with_all = ["runs", "events", "orders"])]
    pub quick: bool,
    /// Fail when a bound does not hold.
    #[arg(long)]
    pub check: bool,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The `wharf` binary [default: the one beside this program].
    #[arg(long, value_name = "FILE")]
    pub wharf: Option<PathBuf>,
    /// Folder of the shop's bundles [default: `bundles` in the target directory].
    #[arg(long, value_name = "DIR", env = "WHARF_BUNDLES")]
    pub bundles: Option<PathBuf>,
    /// Folder of the yardstick's own bundle [default: `bench-bundles` there].
    #[arg(long, value_name = "DIR", env = "WHARF_BENCH_BUNDLES")]
    pub bench_bundles: Option<PathBuf>,
}

/// A part of the yardstick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A call of the guest.
    Invoke,
    /// Single operations by hand.
    Raw,
    /// Events through a host, at least once each.
    AtLeastOnce,
    /// Events through a host, with a record each.
    EffectOnce,
    /// Events through a host, with a record a key, in order.
    ByKey,
    /// Orders through the shop.
    Shop,
}

impl Args {
    pub fn measures(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_choice_everything_is_measured() {
        let all = Args::try_parse_from(["bench"]).expect("no flag is required");
        assert!(all.measures(Part::Shop));
        let some = Args::try_parse_from(["bench", "--only", "invoke,raw"]).expect("two parts");
        assert!(some.measures(Part::Raw) && !some.measures(Part::Shop));
    }
}
