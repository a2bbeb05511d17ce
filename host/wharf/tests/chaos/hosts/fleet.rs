//! Several hosts on one place, each with a log and an address of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::process::Signal;
use wharf_core::checkpoint::Checkpoint;
use wharf_core::report::{self, HostReport, Refused};
use wharf_demo::HostProcess;
use wharf_demo::process::{HostOptions, free_port, loopback};
use wharf_jetstream::registry::Kind;

use super::GRACE;
use super::attempts::Account;
use crate::shop::{ORDERED, neighbours};
use crate::support::rollout::Rollout;
use crate::support::{Plan, SOON, Site, started, until};

/// As short as a place allows.
pub const LEASE: Duration = Duration::from_secs(3);

/// The shop in good health, with a short lease.
pub fn plan() -> Plan {
    Plan::shop().host("lease = \"3s\"").modes(neighbours())
}

/// Hosts by number; who has ended leaves its place empty.
pub struct Fleet<'a> {
    site: &'a Site,
    rollout: Rollout,
    members: Vec<Member>,
    accounts: Vec<Account>,
}

struct Member {
    options: HostOptions,
    host: Option<HostProcess>,
}

impl<'a> Fleet<'a> {
    /// Deploys the shop and starts so many hosts, which follow the registry.
    pub async fn of(site: &'a Site, hosts: usize) -> Self {
        let bundles = site.options.handlers.as_ref().expect("bundles");
        site.operate(&["deploy", bundles.to_str().expect("UTF-8")])
            .await;
        let mut fleet = Self {
            site,
            rollout: Rollout::of(site).await,
            members: Vec::new(),
            accounts: Vec::new(),
        };
        for _ in 0..hosts {
            fleet.add().await;
        }
        fleet
    }

    /// Starts one more host and waits until it is ready.
    pub async fn add(&mut self) {
        self.add_with(|_| ()).await;
    }

    pub async fn add_with(&mut self, change: impl FnOnce(&mut HostOptions)) {
        let number = self.members.len();
        let listen = loopback(free_port().expect("a free port"));
        let mut options = self.site.options.clone();
        options.handlers = None;
        options.listen = listen;
        options.env = [
            ("HOSTNAME", format!("host-{number}")),
            ("WHARF_LISTEN", listen.to_string()),
            ("WHARF_LOG", "info,wharf::attempt=debug".to_owned()),
            ("WHARF_LOG_FORMAT", "json".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        change(&mut options);
        self.members.push(Member {
            options,
            host: None,
        });
        self.start(number).await;
    }

    /// Starts a host that has ended, as another process with a log of its own.
    pub async fn start(&mut self, number: usize) {
        let log = format!("host-{number}-{}.log", self.accounts.len());
        let log = self.site.options.log.with_file_name(log);
        let member = &mut self.members[number];
        member.options.log.clone_from(&log);
        member.host = Some(started(&member.options).await);
        self.accounts.push(Account::new(number, log));
    }

    /// Ends a host: after SIGTERM in good order.
    pub async fn end(&mut self, number: usize, signal: Signal) {
        let mut host = self.members[number].host.take().expect("it runs");
        host.require_running()
            .expect("a host ends by a signal only");
        if signal == Signal::KILL {
            host.kill().await.expect("SIGKILL is sent");
        } else {
            let ended = host.term(GRACE).await.expect("SIGTERM is sent");
            assert!(ended.success(), "{ended}");
        }
        let newest = self.newest(number);
        self.accounts[newest].ended();
    }

    /// Of the host's process that started last.
    pub fn account(&self, number: usize) -> &Account {
        &self.accounts[self.newest(number)]
    }

    fn newest(&self, number: usize) -> usize {
        let of_it = |account: &Account| account.number == number;
        self.accounts.iter().rposition(of_it).expect("it has run")
    }

    /// Waits until a handler's owner has written down that it is past another so many
    /// messages of the stream.
    pub async fn until_passed(&self, handler: &str, more: u64) {
        let wanted = self.checkpoint(handler).await.watermark + more;
        let what = format!("{handler} to pass {more} more messages");
        until(&what, SOON, async || {
            let passed = self.checkpoint(handler).await.watermark;
            (passed >= wanted).then_some(())
        })
        .await;
    }

    /// How often each ordered handler has been taken, by whichever host.
    pub async fn epochs(&self) -> BTreeMap<&'static str, u64> {
        let mut epochs = BTreeMap::new();
        for handler in ORDERED {
            epochs.insert(handler, self.checkpoint(handler).await.epoch);
        }
        epochs
    }

    pub fn signal(&self, number: usize, signal: Signal) {
        let host = self.members[number].host.as_ref().expect("it runs");
        host.signal(signal).expect("the signal is sent");
    }

    /// The hosts that run.
    pub fn hosts(&self) -> Vec<&HostProcess> {
        self.members
            .iter()
            .filter_map(|member| member.host.as_ref())
            .collect()
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// How a host calls itself in checkpoints and reports.
    pub async fn id(&self, number: usize) -> String {
        self.report(number).await.host
    }

    /// Waits until a host has refused a handler's version; why it did.
    pub async fn refusal(&self, number: usize, handler: &str) -> Refused {
        until("the refusal", SOON, async || {
            let report = self.report(number).await;
            report.handlers.get(handler)?.refused.clone()
        })
        .await
    }

    /// Waits until one host owns all ordered handlers.
    pub async fn until_owned_by(&self, number: usize, within: Duration) {
        self.until_these_are_owned_by(&ORDERED, number, within)
            .await;
    }

    pub async fn until_these_are_owned_by(
        &self,
        handlers: &[&str],
        number: usize,
        within: Duration,
    ) {
        let prefix = prefix(number);
        let what = format!("{handlers:?} to be owned by {prefix}");
        until(&what, within, async || {
            let mut owners = Vec::new();
            for handler in handlers {
                owners.push(self.owner(handler).await);
            }
            let all = owners
                .iter()
                .all(|owner| owner.as_ref().is_some_and(|id| id.starts_with(&prefix)));
            all.then_some(())
        })
        .await;
    }

    /// Waits until no host owns two handlers more than another; who owns which.
    pub async fn until_spread(&self, within: Duration) -> BTreeMap<&'static str, String> {
        let mut hosts = Vec::new();
        for number in 0..self.members.len() {
            if self.members[number].host.is_some() {
                hosts.push(self.id(number).await);
            }
        }
        until("the handlers to be spread", within, async || {
            let mut owners = BTreeMap::new();
            for handler in ORDERED {
                owners.insert(handler, self.owner(handler).await?);
            }
            let part = |host: &String| owners.values().filter(|owner| *owner == host).count();
            let parts: Vec<usize> = hosts.iter().map(part).collect();
            let (most, least) = (parts.iter().max()?, parts.iter().min()?);
            let all = parts.iter().sum::<usize>() == ORDERED.len();
            (all && most - least <= 1).then_some(owners)
        })
        .await
    }

    async fn checkpoint(&self, handler: &str) -> Checkpoint {
        self.site.ledger(handler).await.checkpoint().await
    }

    /// None while nobody owns it.
    async fn owner(&self, handler: &str) -> Option<String> {
        let checkpoint = self.checkpoint(handler).await;
        (!checkpoint.released).then_some(checkpoint.owner)
    }

    /// What a running host reports once it has tried every handler.
    async fn report(&self, number: usize) -> HostReport {
        let prefix = prefix(number);
        until("its report", SOON, async || {
            let hosts = self.rollout.registry.list(Kind::Hosts).await.ok()?;
            let reports = hosts
                .iter()
                .filter_map(|(_, entry)| report::decode(&entry.bytes))
                .filter(|report| report.host.starts_with(&prefix) && !report.draining);
            let newest = reports.max_by_key(|report| report.started_ms)?;
            let tried = ORDERED
                .iter()
                .all(|handler| newest.handlers.contains_key(*handler));
            tried.then_some(newest)
        })
        .await
    }
}

fn prefix(number: usize) -> String {
    format!("host-{number}-")
}
