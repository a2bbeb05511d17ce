//! `wharf host` and brokers that are not there, cannot serve, or are not
//! prepared: each has its own word, and none makes the host do harm.

mod cli_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Place, Server, api, wharf_toml};
use wharf_core::checkpoint;
use wharf_jetstream::api::message::Query;
use wharf_jetstream::api::stream::StreamConfig;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(120);

/// A host at work; killed with the value.
struct Host {
    child: Child,
    listen: String,
    log: PathBuf,
}

impl Host {
    fn start(place: &Place) -> Self {
        let listen = free_address();
        let log = place.path("host.log");
        let file = std::fs::File::create(&log).expect("a log");
        let mut command = place.command(&[
            "host",
            "--handlers",
            "target/bundles",
            "--listen",
            &listen,
            "--log-format",
            "json",
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command.spawn().expect("the binary runs");
        Self { child, listen, log }
    }

    /// The status of `GET path`; None while nobody answers.
    fn status(&self, path: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.listen).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: host\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let ended = self.child.try_wait().expect("the host's status");
            assert!(ended.is_none(), "{what}: the host ended: {}", self.said());
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain: {what}: {}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("the log")
    }

    /// SIGTERM, and the exit code.
    fn drain(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("the host's end").code()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shop's `order`, as `just handlers` built it.
fn order_on(url: &str) -> Place {
    let named = std::env::var_os("WHARF_BUNDLES").filter(|value| !value.is_empty());
    let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let bundles = named.map_or_else(|| temporary.join("../bundles"), PathBuf::from);
    let place = Place::empty();
    place.write("wharf.toml", wharf_toml(url));
    for file in ["order/handler.toml", "order/handler.wasm"] {
        let bytes = std::fs::read(bundles.join(file));
        let bytes =
            bytes.unwrap_or_else(|error| panic!("{file}: {error}: run `./just handlers` first"));
        place.write(&format!("target/bundles/{file}"), bytes);
    }
    place
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").to_string()
}

#[test]
fn a_host_waits_for_a_broker_that_is_absent_and_works_when_it_comes() {
    let mut server = Server::start();
    let place = order_on(&server.url());
    place.wharf(&["provision"]).expect(0);
    server.kill();

    let mut host = Host::start(&place);
    host.until("it is alive", |host| host.status("/health") == Some(200));
    host.until("it says that it waits", |host| {
        host.said().contains("waiting for the broker")
    });
    assert_eq!(host.status("/ready"), Some(503));
    assert!(
        host.said().contains("connection refused"),
        "{}",
        host.said()
    );

    server.restart();
    host.until("it is ready", |host| host.status("/ready") == Some(200));
    assert_eq!(host.drain(), Some(0));
}

#[test]
fn a_broker_without_jetstream_ends_the_start() {
    let server = Server::without_jetstream();
    let run = order_on(&server.url()).host("127.0.0.1:0").expect(5);
    assert_eq!(run.error_code(), "WH0207");
}

#[test]
fn a_server_that_is_too_old_ends_the_start() {
    let run = order_on(&old_server()).host("127.0.0.1:0").expect(5);
    assert_eq!(run.error_code(), "WH0208");
    let message = run.json()["error"]["message"].to_string();
    assert!(
        message.contains("2.11.8") && message.contains("2.12"),
        "{message}"
    );
}

#[test]
fn a_user_without_permission_ends_the_start_with_what_to_grant() {
    let users = r#"authorization { users: [
        { user: "poor", password: "p", permissions: { publish: { deny: ["$JS.API.STREAM.INFO.>"] } } } ] }"#;
    let server = Server::configured(users);
    let run = order_on(&server.url().replace("nats://", "nats://poor:p@"))
        .host("127.0.0.1:0")
        .expect(5);
    assert_eq!(run.error_code(), "WH0206");
    let message = run.json()["error"]["message"].to_string();
    assert!(message.contains("$JS.API.STREAM.INFO."), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_ends_the_start_with_the_line_that_makes_it_and_makes_nothing() {
    let server = Server::start();
    let place = order_on(&server.url());
    let run = place.host("127.0.0.1:0").expect(5);
    assert_eq!(run.error_code(), "WH0301");
    let error = &run.json()["error"];
    assert!(
        error["message"].to_string().contains("stream SHOP"),
        "{error}"
    );
    assert!(
        error["remedy"].to_string().contains("wharf provision"),
        "{error}"
    );
    let streams = api(&server).await.streams(0).await.expect("an answer");
    assert_eq!(streams.total, 0, "a host makes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_shape_ends_the_start_with_its_fields() {
    let server = Server::start();
    let place = order_on(&server.url());
    let config = StreamConfig::new("SHOP", vec!["shop.>".to_owned()]);
    api(&server)
        .await
        .create_stream(&config, 0)
        .await
        .expect("the stream is made");
    let run = place.host("127.0.0.1:0").expect(5);
    assert_eq!(run.error_code(), "WH0302");
    let message = run.json()["error"]["message"].to_string();
    for field in ["discard", "max_bytes", "allow_direct"] {
        assert!(message.contains(field), "{field}: {message}");
    }
}

#[test]
fn a_handler_that_may_write_more_than_the_broker_takes_ends_the_start() {
    let server = Server::start();
    let place = order_on(&server.url());
    place.wharf(&["provision"]).expect(0);
    let file = "target/bundles/order/handler.toml";
    let manifest = std::fs::read_to_string(place.path(file)).expect("the manifest");
    place.write(
        file,
        format!("{manifest}\n[limits]\nstate_bytes = \"1MiB\"\n"),
    );
    let run = place.host("127.0.0.1:0").expect(3);
    assert_eq!(run.error_code(), "WH0102");
    let problem = run.json()["error"]["problems"][0].to_string();
    assert!(problem.contains("record-too-large"), "{problem}");
    let deployed = place.wharf(&["status", "-o", "json"]).expect(0).out;
    assert!(!deployed.contains("order"), "{deployed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_is_gone_or_of_another_subscription_ends_the_start() {
    let server = Server::start();
    let place = order_on(&server.url());
    place.wharf(&["provision"]).expect(0);
    let api = api(&server).await;
    let manifest = std::fs::read_to_string(place.path("target/bundles/order/handler.toml"))
        .expect("the manifest");
    // As one from before it said what it is of: that cannot be read to its end.
    let (ledger, subject) = ("WHARF-L-order-1", "wl.order-1.c.0");
    let stored = api.message(ledger, &Query::last(subject)).await;
    let stored = stored.expect("it answers").expect("a checkpoint");
    let mut old = checkpoint::decode(&stored.data).expect("a checkpoint");
    old.on.clear();
    let client = async_nats::connect(server.url()).await.expect("connected");
    let stream = async_nats::jetstream::new(client);
    let written = stream
        .publish(subject, checkpoint::encode(&old).into())
        .await;
    written.expect("sent").await.expect("stored");
    let other = manifest.replacen("\"shop.order.{order}.placed\",", "", 1);
    assert_ne!(manifest, other);
    place.write("target/bundles/order/handler.toml", other);
    assert_eq!(place.host("127.0.0.1:0").expect(5).error_code(), "WH0306");

    place.write("target/bundles/order/handler.toml", manifest);
    api.purge("WHARF-L-order-1", "wl.order-1.c.0")
        .await
        .expect("the checkpoint is gone");
    assert_eq!(place.host("127.0.0.1:0").expect(5).error_code(), "WH0305");
}

/// Answers as nats-server 2.11.8 does, as far as a host asks it. Serves until
/// the test process ends.
fn old_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("its address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || old_session(stream));
        }
    });
    url
}

fn old_session(mut stream: TcpStream) -> std::io::Result<()> {
    const INFO: &str = r#"{"server_id":"OLD","server_name":"old","version":"2.11.8","go":"go1.24","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true,"client_id":1}"#;
    const ACCOUNT: &str = r#"{"type":"io.nats.jetstream.api.v1.account_info_response","memory":0,"storage":0,"streams":0,"consumers":0,"limits":{"max_memory":-1,"max_storage":-1,"max_streams":-1,"max_consumers":-1},"api":{"level":1,"total":1,"errors":0}}"#;
    write!(stream, "INFO {INFO}\r\n")?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut inbox = String::new();
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["PING"] => stream.write_all(b"PONG\r\n")?,
            ["SUB", _, id] => inbox = (*id).to_owned(),
            ["PUB" | "HPUB", subject, reply, .., bytes] => {
                let mut body = vec![0; bytes.parse::<usize>().unwrap_or(0) + 2];
                lines.read_exact(&mut body)?;
                if *subject == "$JS.API.INFO" {
                    write!(
                        stream,
                        "MSG {reply} {inbox} {}\r\n{ACCOUNT}\r\n",
                        ACCOUNT.len()
                    )?;
                }
            }
            _ => {}
        }
        line.clear();
    }
    Ok(())
}
