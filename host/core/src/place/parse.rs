//! Reads `wharf.toml` key by key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{HostSettings, Nats, Place, ServerUrl, Servers, Stream, Tls};
use crate::config::names::{SETTING, STREAM};
use crate::config::{Code, Item, Table, subjects};
use crate::manifest::is_host_stream;
use crate::pattern::Pattern;

const STREAMS_MAX: usize = 256;
const SERVERS_MAX: usize = 32;
const PATH_BYTES_MAX: usize = 4096;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

pub(super) fn place(root: &Table<'_>) -> Place {
    Place {
        nats: nats(&root.table("nats")),
        streams: streams(&root.table("streams")),
        host: host(&root.table("host")),
    }
}

fn nats(table: &Table<'_>) -> Nats {
    let urls = urls(table);
    let context = table.name("context", &SETTING);
    if table.has("url") && table.has("context") {
        let message = "`nats.url` and `nats.context` contradict: a context brings its own servers";
        table.problem(
            "context",
            Code::Contradiction,
            message,
            "remove one of the two",
        );
    }
    let nats = Nats {
        servers: match (urls, context) {
            (Some(urls), _) => Servers::Urls(urls),
            (None, Some(context)) => Servers::Context(context.to_owned()),
            (None, None) => Servers::default(),
        },
        creds: path(table, "creds"),
        tls: tls(&table.table("tls")),
    };
    if table.has("context") {
        for key in ["creds", "tls"].into_iter().filter(|key| table.has(key)) {
            let message =
                format!("`nats.{key}` and `nats.context` contradict: a context brings its own");
            table.problem(
                key,
                Code::Contradiction,
                message,
                "put it into the context, or use nats.url",
            );
        }
    }
    nats
}

/// One text with commas, or a list.
fn urls(table: &Table<'_>) -> Option<Vec<ServerUrl>> {
    let items: Vec<Item<&str>> = if table.get("url")?.get_ref().is_str() {
        let text = table.text("url", 1..=PATH_BYTES_MAX)?;
        let span = table.span_of("url");
        text.split(',')
            .map(|url| Item {
                value: url.trim(),
                span: span.clone(),
            })
            .collect()
    } else {
        table.texts("url", 1..=SERVERS_MAX)?
    };
    let mut urls = Vec::with_capacity(items.len());
    for item in items {
        match ServerUrl::parse(item.value) {
            Some(url) => urls.push(url),
            None => {
                // The text is left out of the message: it may hold a password.
                let message = "`nats.url` holds something that is no address of a server";
                let remedy = "write nats://host:4222 or tls://host:4222, several in a list";
                table.problem_at(&item.span, Code::BadValue, message, remedy);
            }
        }
    }
    Some(urls)
}

fn tls(table: &Table<'_>) -> Tls {
    let tls = Tls {
        ca: path(table, "ca"),
        cert: path(table, "cert"),
        key: path(table, "key"),
    };
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if table.has(one) && !table.has(other) {
            let message = format!(
                "`{}` is missing: a certificate and its key go together",
                table.path_of(other)
            );
            table.problem(one, Code::MissingKey, message, "write both, or none");
        }
    }
    tls
}

fn path(table: &Table<'_>, key: &str) -> Option<String> {
    table.text(key, 1..=PATH_BYTES_MAX).map(str::to_owned)
}

fn streams(table: &Table<'_>) -> BTreeMap<String, Stream> {
    table.at_most(STREAMS_MAX);
    let mut taken: Vec<Item<Pattern>> = Vec::new();
    let mut streams = BTreeMap::new();
    for (name, inner) in table.named_tables() {
        if table.name_fits(&name, &STREAM) && is_host_stream(name.value) {
            let message = format!(
                "`{}` names a stream that the host keeps for itself",
                inner.path()
            );
            table.problem_at(
                &name.span,
                Code::ReservedName,
                message,
                "give the stream another name",
            );
        }
        inner.require(
            "subjects",
            "write subjects = [\"…\"], what the stream holds",
        );
        let own = subjects::patterns(&inner, "subjects");
        subjects::report_overlaps(&inner, &taken, &own);
        streams.insert(name.value.to_owned(), stream(&inner, &own));
        taken.extend(own);
    }
    streams
}

fn stream(table: &Table<'_>, subjects: &[Item<Pattern>]) -> Stream {
    let partitions = table.count("partitions", 1..=256).unwrap_or(1);
    if partitions != 1 {
        let message = format!(
            "`{}` does nothing yet: one host reads an ordered stream",
            table.path_of("partitions")
        );
        table.problem(
            "partitions",
            Code::NotBuiltYet,
            message,
            "write partitions = 1, or remove it",
        );
    }
    let replicas = table.count("replicas", 1..=5).unwrap_or(1);
    if replicas.is_multiple_of(2) {
        let message = format!("`{}` is {replicas}", table.path_of("replicas"));
        table.problem(
            "replicas",
            Code::OutOfBounds,
            message,
            "write 1, 3 or 5: an even number survives no more",
        );
    }
    Stream {
        subjects: subjects.iter().map(|item| item.value.clone()).collect(),
        partitions,
        max_bytes: table
            .size("max_bytes", MIB..=(1 << 20) * GIB)
            .unwrap_or(10 * GIB),
        replicas,
    }
}

fn host(table: &Table<'_>) -> HostSettings {
    let base = HostSettings::default();
    let second = Duration::from_secs(1);
    let hour = Duration::from_hours(1);
    let host = HostSettings {
        listen: listen(table).unwrap_or(base.listen),
        max_held: table
            .count("max_held", 1..=1_000_000)
            .unwrap_or(base.max_held),
        max_held_bytes: table
            .size("max_held_bytes", MIB..=64 * GIB)
            .unwrap_or(base.max_held_bytes),
        max_lane: table
            .count("max_lane", 1..=100_000)
            .unwrap_or(base.max_lane),
        max_span: table
            .count("max_span", 1..=100_000_000)
            .unwrap_or(base.max_span),
        max_hold: table
            .duration("max_hold", second..=hour)
            .unwrap_or(base.max_hold),
        // It is renewed every second, and an owner stops at two thirds of it.
        lease: table
            .duration("lease", 3 * second..=300 * second)
            .unwrap_or(base.lease),
        drain: table.duration("drain", second..=hour).unwrap_or(base.drain),
    };
    not_above(
        table,
        ("max_lane", host.max_lane),
        ("max_held", host.max_held),
    );
    not_above(
        table,
        ("max_held", host.max_held),
        ("max_span", host.max_span),
    );
    host
}

fn not_above(table: &Table<'_>, (small, least): (&str, u32), (large, most): (&str, u32)) {
    if least > most {
        let key = if table.has(small) { small } else { large };
        let message = format!("`host.{small}` is {least}, more than `host.{large}` ({most})");
        let remedy = format!("lower host.{small}, or raise host.{large}");
        table.problem(key, Code::Contradiction, message, remedy);
    }
}

fn listen(table: &Table<'_>) -> Option<SocketAddr> {
    let text = table.text("listen", 1..=64)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("`host.listen` is `{text}`, which is no address");
        table.problem(
            "listen",
            Code::BadValue,
            message,
            "write an IP address and a port, such as \"127.0.0.1:8080\"",
        );
    }
    address
}
