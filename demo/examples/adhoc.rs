use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use async_nats::{HeaderMap, jetstream, jetstream::stream::Config};
use audit_chain::{Event, Head};
use bytes::Bytes;
use clap::Parser;
use serde_json::{Value, json};
use wharf_core::record::{self, Record, State};
use wharf_demo::shop::*;
use wharf_demo::stream::{self, Stream};
use wharf_demo::{DemoArgs, client};

#[derive(Parser)]
enum Cli {
    Demo(DemoArgs),
    Provision { #[arg(long)] handlers: String, #[arg(long)] config: String },
    Host { #[arg(long)] handlers: String, #[arg(long)] config: String, #[arg(long)] needs: String },
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match Cli::parse() {
        Cli::Demo(args) => match wharf_demo::run(args).await {
            Ok(outcome) => outcome.exit_code().into(),
            Err(error) => { eprintln!("error: {error}"); 1.into() }
        },
        Cli::Provision { config, .. } => {
            let place = place(&config);
            let js = jetstream::new(stream::connect(&place.0).await.unwrap());
            for (name, subject) in [(STREAM, "shop.>"), (AUDIT_STREAM, "audit.>"), ("WHARF-L-inventory-1", "wl.inventory-1.>")] {
                js.create_stream(Config { name: name.into(), subjects: vec![subject.into()], max_messages_per_subject: if name.starts_with("WHARF") {1} else {-1}, ..Default::default() }).await.unwrap();
            }
            0.into()
        }
        Cli::Host { config, needs, .. } => { host(&config, &needs).await; 0.into() }
    }
}

fn place(config: &str) -> (String, std::net::SocketAddr) {
    let text = std::fs::read_to_string(config).unwrap();
    let url = text.split('"').nth(1).unwrap().to_owned();
    let place = wharf_core::place::parse(config, &text).unwrap();
    (url, place.host.listen)
}

async fn host(config: &str, needs: &str) {
    use axum::routing::get;
    let (url, listen) = place(config);
    let gateway = std::fs::read_to_string(needs).unwrap().split("http://").nth(1).unwrap().split('"').next().unwrap().parse::<std::net::SocketAddr>().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = count.clone();
    let app = axum::Router::new().route("/ready", get(|| async { "ready" })).route("/metrics", get(move || { let n = seen.load(std::sync::atomic::Ordering::Relaxed); async move {
        format!("wharf_events_total{{handler=\"all\",outcome=\"ok\"}} {n}\nwharf_unsettled{{handler=\"all\",state=\"held\"}} 0\nwharf_event_duration_seconds_bucket{{handler=\"all\",le=\"0.01\"}} {n}\nwharf_event_duration_seconds_bucket{{handler=\"all\",le=\"+Inf\"}} {n}\n") } }));
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    tokio::select! { _ = term.recv() => { eprintln!("drained"); } () = work(url, gateway, count) => {} }
}

async fn work(url: String, gateway: std::net::SocketAddr, count: std::sync::Arc<std::sync::atomic::AtomicU64>) {
    let client = stream::connect(&url).await.unwrap();
    let js = jetstream::new(client.clone());
    let shop = Stream::new(client, STREAM);
    let mut heads = HashMap::<String, Head>::new();
    let mut stock = BTreeMap::<String, (u64, u64)>::new();
    let mut next = 1;
    loop {
        let extent = shop.extent().await.unwrap();
        if extent.last_seq < next { tokio::time::sleep(Duration::from_millis(5)).await; continue; }
        for event in shop.read(next..=extent.last_seq).await.unwrap() {
            next = event.sequence + 1;
            let tokens: Vec<String> = event.subject.split('.').map(str::to_owned).collect();
            let key = format!("{}/{}", tokens[1], tokens[2]);
            let head = heads.entry(key.clone()).or_default();
            let link = head.append(&key, Event { source: event.header("ce-source").unwrap_or(""), id: event.event_id().unwrap(), event_type: "", subject: &event.subject, sequence: event.sequence, data: &event.data });
            *head = link.head();
            put(&js, format!("audit.{key}.appended"), link.hash.to_string(), serde_json::to_vec(&link).unwrap()).await;
            let id = tokens[2].clone();
            match (tokens[1].as_str(), tokens[3].as_str()) {
                ("inventory", "stocked") => { let s: Stocked = serde_json::from_slice(&event.data).unwrap(); stock.entry(id.clone()).or_default().0 += s.qty; keep(&js, &id, stock[&id]).await; }
                ("order", "placed") => {
                    let placed: Placed = serde_json::from_slice(&event.data).unwrap();
                    let enough = placed.lines.iter().all(|l| stock[&l.sku].0 >= l.qty as u64);
                    let ok = enough && post(gateway, "/charges", &id, json!({"order": id, "amount": placed.total(), "currency": placed.currency})).await["status"] == "captured";
                    if ok { for l in &placed.lines { let s = stock.get_mut(&l.sku).unwrap(); s.0 -= l.qty as u64; s.1 += l.qty as u64; let s = *s; keep(&js, &l.sku, s).await; } }
                    let end = if ok { "confirmed" } else { "rejected" };
                    put(&js, format!("shop.order.{id}.{end}"), format!("{id}.end"), b"{}".to_vec()).await;
                }
                _ => { post(gateway, "/mails", &id, json!({"to":"c","template":tokens[3],"order":id,"subject":"","body":""})).await; }
            }
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

async fn keep(js: &jetstream::Context, sku: &str, (on_hand, sold): (u64, u64)) {
    let state = State { version: 1, data: json!({"on_hand": on_hand, "sold": sold, "reserved": {}}).to_string().into_bytes() };
    js.publish(format!("wl.inventory-1.r.{sku}"), record::encode(&Record { state: Some(state), ..Record::new(sku) }).into()).await.unwrap().await.unwrap();
}
async fn put(js: &jetstream::Context, subject: String, id: String, data: Vec<u8>) {
    let mut h = HeaderMap::new(); h.insert("ce-id", id.as_str()); h.insert("Nats-Msg-Id", id.as_str());
    js.publish_with_headers(subject, h, data.into()).await.unwrap().await.unwrap();
}
async fn post(gateway: std::net::SocketAddr, path: &str, key: &str, body: Value) -> Value {
    let request = http::Request::post(path).header("content-type", "application/json").header("idempotency-key", key).body(Bytes::from(body.to_string())).unwrap();
    serde_json::from_slice(&client::send(gateway, request, Duration::from_secs(5)).await.unwrap().body).unwrap()
}
