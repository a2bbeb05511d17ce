//! Waiting until every living host has followed a change of the registry.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use wharf_core::deployment::Digest;
use wharf_core::report::{self, HostReport, Refused};
use wharf_jetstream::registry::{Kind, Registry};

use super::failure::Failure;
use super::table::Table;
use crate::codes::Code;

/// How often the hosts' reports are looked at.
pub const LOOK: Duration = Duration::from_millis(100);

/// `--wait`, on every command that changes what runs.
#[derive(Debug, Clone, Copy, Args)]
pub struct WaitArgs {
    /// Wait until every living host runs it, or one refuses.
    #[arg(long)]
    wait: bool,
    /// Longest wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "wait")]
    timeout: u64,
}

/// What hosts are to have followed.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub handler: String,
    /// The version that is to run, unless it is paused.
    pub version: u32,
    pub component: Digest,
    /// Nothing is to run: that is what was asked for.
    pub paused: bool,
    /// Of the deployment: a report that answers an older one does not count.
    pub revision: u64,
}

/// What the hosts made of it, by host.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Convergence(BTreeMap<String, BTreeMap<String, State>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum State {
    Runs {
        version: u32,
    },
    Paused,
    Refused {
        #[serde(flatten)]
        refused: Refused,
        /// What runs instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        runs: Option<u32>,
    },
    /// It has not followed yet.
    Behind,
}

impl WaitArgs {
    /// None: nobody waits.
    pub fn until(self) -> Option<Instant> {
        let timeout = Duration::from_secs(self.timeout);
        self.wait.then(|| Instant::now() + timeout)
    }

    /// What the hosts made of it, and the failure if one refused or is late.
    ///
    /// # Errors
    /// The registry cannot be read.
    pub async fn settle(
        self,
        registry: &Registry,
        wanted: &[Wanted],
    ) -> Result<(Option<Convergence>, Option<Failure>), Failure> {
        let Some(until) = self.until() else {
            return Ok((None, None));
        };
        loop {
            let seen = Convergence::of(&hosts(registry).await?, wanted);
            if let Some(failure) = seen.refusal().or_else(|| seen.standstill(wanted)) {
                return Ok((Some(seen), Some(failure)));
            }
            if seen.is_complete() {
                return Ok((Some(seen), None));
            }
            if Instant::now() >= until {
                let failure = seen.late(self.timeout);
                return Ok((Some(seen), Some(failure)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Reports of the hosts that live and do not drain.
///
/// # Errors
/// The registry cannot be read.
pub async fn hosts(registry: &Registry) -> Result<Vec<HostReport>, Failure> {
    let entries = registry.list(Kind::Hosts).await?;
    let reports = entries
        .iter()
        .filter_map(|(_, entry)| report::decode(&entry.bytes));
    Ok(reports.filter(|report| !report.draining).collect())
}

impl Convergence {
    fn of(hosts: &[HostReport], wanted: &[Wanted]) -> Self {
        let of_host = |host: &HostReport| {
            let states = wanted
                .iter()
                .map(|wanted| (wanted.handler.clone(), State::of(host, wanted)));
            (host.host.clone(), states.collect())
        };
        Self(hosts.iter().map(of_host).collect())
    }

    fn states(&self) -> impl Iterator<Item = (&str, &str, &State)> {
        self.0.iter().flat_map(|(host, states)| {
            let states = states.iter();
            states.map(|(handler, state)| (host.as_str(), handler.as_str(), state))
        })
    }

    /// Nobody to run it is not complete either.
    fn is_complete(&self) -> bool {
        !self.0.is_empty() && self.states().all(|(_, _, state)| *state != State::Behind)
    }

    fn refusal(&self) -> Option<Failure> {
        self.states().find_map(|(host, handler, state)| match state {
            State::Refused { refused, runs } => {
                let Refused {
                    version,
                    code,
                    message,
                    remedy,
                } = refused;
                let instead = match runs {
                    Some(runs) => format!("version {runs} goes on"),
                    None => "nothing of it runs there".to_owned(),
                };
                let what = format!(
                    "host `{host}` refuses version {version} of `{handler}`: {message} ({code}); {instead}"
                );
                Some(Failure::new(Code::VersionRefused, what).remedy(remedy.clone()))
            }
            State::Runs { .. } | State::Paused | State::Behind => None,
        })
    }

    /// It was to run, and somebody has paused it.
    fn standstill(&self, wanted: &[Wanted]) -> Option<Failure> {
        let paused = self.states().find(|(_, handler, state)| {
            let asked = wanted.iter().any(|w| w.handler == *handler && w.paused);
            **state == State::Paused && !asked
        });
        paused.map(|(_, handler, _)| {
            let what = format!("`{handler}` is paused, and runs on no host");
            Failure::new(Code::VersionRefused, what).remedy(format!("`wharf resume {handler}`"))
        })
    }

    fn late(&self, seconds: u64) -> Failure {
        if self.0.is_empty() {
            let what = format!("no host has reported within {seconds} s");
            return Failure::new(Code::NotConverged, what)
                .remedy("start one with `wharf host`; it takes up what is deployed");
        }
        let behind = self
            .states()
            .filter(|(_, _, state)| **state == State::Behind);
        let names: Vec<String> = behind
            .map(|(host, handler, _)| format!("{handler} on {host}"))
            .collect();
        let what = format!("not followed within {seconds} s: {}", names.join(", "));
        Failure::new(Code::NotConverged, what)
    }
}

impl State {
    fn of(host: &HostReport, wanted: &Wanted) -> Self {
        let Some(report) = host.handlers.get(&wanted.handler) else {
            return Self::Behind;
        };
        if report.revision < wanted.revision {
            return Self::Behind;
        }
        match (&report.refused, &report.running) {
            (Some(refused), running) => Self::Refused {
                refused: refused.clone(),
                runs: running.as_ref().map(|running| running.version),
            },
            (None, Some(running))
                if (running.version, running.component) == (wanted.version, wanted.component) =>
            {
                Self::Runs {
                    version: running.version,
                }
            }
            (None, None) if report.paused => Self::Paused,
            (None, _) => Self::Behind,
        }
    }
}

impl fmt::Display for Convergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(&["host", "handler", "state"]);
        for (host, handler, state) in self.states() {
            let state = match state {
                State::Runs { version } => format!("runs version {version}"),
                State::Paused => "paused".to_owned(),
                State::Refused { refused, .. } => {
                    format!("refused version {}: {}", refused.version, refused.message)
                }
                State::Behind => "has not followed yet".to_owned(),
            };
            table.row([host.to_owned(), handler.to_owned(), state]);
        }
        write!(f, "{table}")
    }
}
