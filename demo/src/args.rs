//! The flags of `wharf demo` and `wharf gateway`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::gateway::Modes;
use crate::load::Spec;

/// Run the shop end to end on this machine and prove that nothing was lost.
///
/// Starts nats-server, a payment and a mail gateway, and a host with the
/// shop's handlers; places orders; then holds the books against each other.
/// Exit code 0: everything balances; 1: it does not, or something failed; 5: a
/// port is in use; 130: interrupted.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  wharf demo --orders 200 --rate 50
  wharf demo --decline-rate 0.3 --stock 20 --seed 8
  wharf demo --hold --port-base 9200
  wharf demo --swap --orders 5000
  wharf demo -o json > report.json")]
pub struct DemoArgs {
    /// Orders to place.
    #[arg(long, default_value_t = 1_000)]
    pub orders: u32,
    /// Different goods in stock.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub skus: u32,
    /// Orders a second; 0 places them as fast as the broker takes them.
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    pub rate: f64,
    /// Pieces of each SKU at the start.
    #[arg(long, default_value_t = 50)]
    pub stock: u64,
    /// Share of orders whose charge the bank declines, 0 to 1.
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    pub decline_rate: f64,
    /// Decides which orders there are and which are declined.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Swap payment between two versions every two seconds meanwhile.
    #[arg(long)]
    pub swap: bool,
    /// Keep everything running after the report, until Ctrl-C.
    #[arg(long)]
    pub hold: bool,
    /// Use three ports from here: nats-server, the host, the gateways.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..=65533))]
    pub port_base: Option<u16>,
    /// Port of nats-server [default: 4222].
    #[arg(long, value_name = "PORT")]
    pub nats_port: Option<u16>,
    /// Port of the host's health, readiness and metrics [default: 8080].
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<u16>,
    /// Port of the payment and mail gateways [default: 8090].
    #[arg(long, value_name = "PORT")]
    pub gateway_port: Option<u16>,
    /// Folder for the store, the logs and the configuration; emptied first, but
    /// for compiled handlers.
    #[arg(long, value_name = "DIR", default_value = ".demo")]
    pub data: PathBuf,
    /// Folder with one bundle for each handler.
    #[arg(
        long,
        visible_alias = "bundles",
        value_name = "DIR",
        env = "WHARF_HANDLERS",
        default_value = "target/bundles"
    )]
    pub handlers: PathBuf,
    /// How to print the report.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

/// Run the gateways alone, as a process of their own.
///
/// Modes are switched while it runs: `PUT /control` with JSON.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  wharf gateway --listen 127.0.0.1:8090
  curl -X PUT 127.0.0.1:8090/control -H 'content-type: application/json' -d '{\"down_ms\": 20000}'")]
pub struct GatewayArgs {
    #[arg(long, default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Decides which orders are declined and which requests fail.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Share of orders whose charge the bank declines, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub decline_rate: f64,
}

/// The three ports of a demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub nats: u16,
    pub http: u16,
    pub gateway: u16,
}

impl DemoArgs {
    /// A port's own flag goes before `--port-base`, which goes before the default.
    pub fn ports(&self) -> Ports {
        let from = |own: Option<u16>, offset: u16, default: u16| {
            own.or(self.port_base.map(|base| base + offset))
                .unwrap_or(default)
        };
        Ports {
            nats: from(self.nats_port, 0, 4222),
            http: from(self.http_port, 1, 8080),
            gateway: from(self.gateway_port, 2, 8090),
        }
    }

    pub fn spec(&self) -> Spec {
        Spec {
            seed: self.seed,
            first: 1,
            orders: self.orders,
            skus: self.skus,
            stock: self.stock,
            rate: (self.rate > 0.0).then_some(self.rate),
        }
    }

    /// The gateways of a demo are in good health but for declined cards, and
    /// take as long as near ones do.
    pub fn modes(&self) -> Modes {
        let decline_rate = self.decline_rate;
        Modes {
            latency_min_ms: 1,
            latency_max_ms: 10,
            decline_rate,
            ..Modes::default()
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (0.0..=1.0)
        .contains(&share)
        .then_some(share)
        .ok_or("a share from 0 to 1 is expected".into())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let sound = rate.is_finite() && rate >= 0.0;
    sound
        .then_some(rate)
        .ok_or("0 or a positive number is expected".into())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn parse(flags: &[&str]) -> Result<DemoArgs, clap::Error> {
        Cli::try_parse_from([&["demo"], flags].concat()).map(|cli| cli.demo)
    }

    #[test]
    fn the_flags_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_ports_own_flag_goes_before_the_base_and_the_default() {
        let ports = |flags: &[&str]| parse(flags).unwrap().ports();
        assert_eq!(
            ports(&[]),
            Ports {
                nats: 4222,
                http: 8080,
                gateway: 8090
            }
        );
        let mixed = ports(&["--port-base", "9200", "--http-port", "8081"]);
        assert_eq!(
            mixed,
            Ports {
                nats: 9200,
                http: 8081,
                gateway: 9202
            }
        );
    }

    #[test]
    fn shares_and_rates_that_cannot_be_meant_are_refused() {
        for flags in [
            ["--decline-rate", "1.1"],
            ["--rate", "-1"],
            ["--rate", "inf"],
            ["--skus", "0"],
        ] {
            assert!(parse(&flags).is_err(), "{flags:?}");
        }
        assert_eq!(parse(&["--rate", "0"]).unwrap().spec().rate, None);
    }
}
