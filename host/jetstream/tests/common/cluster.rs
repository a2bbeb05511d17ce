//! Three real nats-servers in a cluster, each one's routes behind a proxy, so
//! that a route can be cut, hang, be late, or lose what is said on it.
//!
//! Tests of other crates include this file by path, beside `server` and `proxy`.

use super::proxy::{Flow, Proxy, Way};
use super::server::{Server, free_port};
use async_nats::Client;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const NODES: usize = 3;
/// How long a cluster may take for what it does within ten seconds at rest:
/// after the death of a leader it votes for about seven.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Nodes 0 to 2. They end with this value.
pub struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    server: Server,
    /// Where the other nodes reach this one's routes.
    door: Proxy,
    monitor: u16,
}

impl Cluster {
    /// Starts three servers and waits until they are one cluster.
    pub async fn start() -> Self {
        let mut doors = Vec::new();
        for _ in 0..NODES {
            let port = free_port();
            doors.push((port, Proxy::to(port).await));
        }
        let routes: Vec<String> = doors.iter().map(|(_, door)| door.url()).collect();
        let nodes = doors.into_iter().enumerate().map(|(number, (port, door))| {
            let monitor = free_port();
            let config = format!(
                "server_name: {}\nhttp: \"127.0.0.1:{monitor}\"\n\
                 cluster {{\n  name: test\n  listen: \"127.0.0.1:{port}\"\n  \
                 advertise: \"127.0.0.1:{}\"\n  no_advertise: true\n  compression: off\n  \
                 routes: {routes:?}\n}}",
                name(number),
                door.port(),
            );
            Node {
                server: Server::configured(&config),
                door,
                monitor,
            }
        });
        let cluster = Self {
            nodes: nodes.collect(),
        };
        cluster.until_whole().await;
        cluster
    }

    pub fn node(&self, number: usize) -> &Server {
        &self.nodes[number].server
    }

    /// A server's url; clients are not told of the others.
    pub fn url(&self, number: usize) -> String {
        self.node(number).url()
    }

    pub fn urls(&self) -> Vec<String> {
        (0..NODES).map(|number| self.url(number)).collect()
    }

    /// Power cut of one node.
    pub fn kill(&mut self, number: usize) {
        self.nodes[number].server.kill();
    }

    /// Starts a killed node again on its store; it catches up by itself.
    pub fn restart(&mut self, number: usize) {
        self.nodes[number].server.restart();
    }

    /// What becomes, from now on, of what one node says to another.
    pub fn route(&self, from: usize, to: usize, flow: Flow) {
        self.set(from, to, "", flow);
    }

    /// The same of what keeps copies of streams alike; all else is as it was.
    pub fn route_of_copies(&self, from: usize, to: usize, flow: Flow) {
        self.set(from, to, " $SYS", flow);
    }

    fn set(&self, from: usize, to: usize, which: &str, flow: Flow) {
        // Either of the two may have opened the connection.
        let (opened, accepted) = (&self.nodes[to].door, &self.nodes[from].door);
        opened.set_for(&format!("{}{which}", name(from)), Way::ToServer, flow);
        accepted.set_for(&format!("{}{which}", name(to)), Way::FromServer, flow);
    }

    /// Ends the connections between two nodes; they connect again by themselves.
    pub fn cut(&self, one: usize, other: usize) {
        self.nodes[one].door.cut(&name(other));
        self.nodes[other].door.cut(&name(one));
    }

    /// All routes work as they should from now on.
    pub fn heal(&self) {
        for node in &self.nodes {
            node.door.heal();
        }
    }

    /// How often `text` was in what was lost on the routes.
    pub fn lost(&self, text: &str) -> usize {
        self.nodes.iter().map(|node| node.door.lost(text)).sum()
    }

    /// Waits until every node runs, knows the leader, and has caught up.
    pub async fn until_whole(&self) {
        let begun = Instant::now();
        for node in &self.nodes {
            while !(node.is_healthy().await && node.knows_all().await) {
                assert!(begun.elapsed() < PATIENCE, "the cluster does not form");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// The node that leads a stream.
    pub async fn stream_leader(&self, client: &Client, stream: &str) -> usize {
        leader(client, &format!("STREAM.INFO.{stream}")).await
    }

    /// The node that a consumer is led by.
    pub async fn consumer_leader(&self, client: &Client, stream: &str, consumer: &str) -> usize {
        leader(client, &format!("CONSUMER.INFO.{stream}.{consumer}")).await
    }

    /// Makes another node the leader of a stream; which one.
    pub async fn step_down(&self, client: &Client, stream: &str) -> usize {
        let before = self.stream_leader(client, stream).await;
        let begun = Instant::now();
        loop {
            // It may be on its way to another leader by itself.
            let _ = ask(client, &format!("STREAM.LEADER.STEPDOWN.{stream}")).await;
            let after = self.stream_leader(client, stream).await;
            if after != before {
                return after;
            }
            assert!(begun.elapsed() < PATIENCE, "{stream} keeps its leader");
        }
    }

    /// Waits until all copies of a stream are as the leader's.
    pub async fn until_in_step(&self, client: &Client, stream: &str) {
        let begun = Instant::now();
        loop {
            let info = ask(client, &format!("STREAM.INFO.{stream}")).await;
            let replicas = info
                .as_ref()
                .and_then(|i| i["cluster"]["replicas"].as_array());
            let current = |replica: &Value| replica["current"] == true && replica["lag"].is_null();
            if replicas.is_some_and(|all| all.len() == NODES - 1 && all.iter().all(current)) {
                return;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{stream} is not in step: {info:?}"
            );
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Node {
    async fn is_healthy(&self) -> bool {
        self.monitored("/healthz")
            .await
            .is_some_and(|answer| answer["status"] == "ok")
    }

    async fn knows_all(&self) -> bool {
        let Some(answer) = self.monitored("/jsz").await else {
            return false;
        };
        let meta = &answer["meta_cluster"];
        meta["cluster_size"] == NODES
            && meta["leader"].as_str().is_some_and(|name| !name.is_empty())
    }

    async fn monitored(&self, path: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitor)).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

fn name(number: usize) -> String {
    format!("node-{number}")
}

/// Waits until an asset has a leader; which node.
async fn leader(client: &Client, path: &str) -> usize {
    let begun = Instant::now();
    loop {
        let info = ask(client, path).await;
        let leader = info
            .as_ref()
            .and_then(|info| info["cluster"]["leader"].as_str());
        let known = (0..NODES).find(|number| leader == Some(&name(*number)));
        if let Some(known) = known {
            return known;
        }
        assert!(begun.elapsed() < PATIENCE, "no leader: {path}: {info:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// An answer of JetStream's API; None when there is none just now.
async fn ask(client: &Client, path: &str) -> Option<Value> {
    let answer = client.request(format!("$JS.API.{path}"), "".into()).await;
    serde_json::from_slice(&answer.ok()?.payload).ok()
}
