//! `wharf demo` as its users run it: by its exit code, its report, and what it
//! leaves behind.

mod cli_support;
#[path = "support/mod.rs"]
mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Place, run};
use rustix::process::{Pid, Signal, kill_process};

/// A run of few orders, on a machine with other work to do.
const PATIENCE: Duration = Duration::from_secs(120);

/// Three ports in a row that were free a moment ago.
fn ports() -> u16 {
    loop {
        let first = wharf_demo::process::free_port().expect("a port");
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first < u16::MAX - 2 && free(first + 1) && free(first + 2) {
            return first;
        }
    }
}

fn demo(place: &Place, ports: u16, arguments: &[&str]) -> Command {
    let (base, data) = (ports.to_string(), place.path("data").display().to_string());
    let always = ["demo", "--port-base", &base, "--data", &data, "--skus", "5"];
    let mut command = place.command(&[&always, arguments].concat());
    command
        .env("WHARF_HANDLERS", support::bundles())
        .env("WHARF_NATS_SERVER", cli_support::server::binary());
    command
}

/// Every child was started with a file in the demo's folder.
fn assert_no_child(place: &Place) {
    let folder = place.path("data").display().to_string();
    let listed = Command::new("ps").args(["-eo", "args"]).output();
    let listed = String::from_utf8_lossy(&listed.expect("ps runs").stdout).into_owned();
    let left: Vec<&str> = listed
        .lines()
        .filter(|line| line.contains(&folder))
        .collect();
    assert!(left.is_empty(), "still alive: {left:?}");
}

#[test]
fn a_demo_balances_says_so_by_its_exit_code_and_leaves_nothing_running() {
    let place = Place::empty();
    let ended = run(&mut demo(
        &place,
        ports(),
        &["--orders", "20", "-o", "json"],
    ))
    .expect(0);
    let report: serde_json::Value = serde_json::from_str(&ended.out).expect("one document");
    assert_eq!(report["balanced"], true, "{report:#}");
    assert!(
        report["orders_per_second"]
            .as_f64()
            .is_some_and(|rate| rate > 0.0)
    );
    assert_no_child(&place);
    let chains = std::fs::read_to_string(place.path("data/audit.ndjson")).expect("the chains");
    assert!(chains.lines().count() > 20);
}

#[test]
fn ctrl_c_drains_a_demo_in_the_middle_and_leaves_nothing_running() {
    let place = Place::empty();
    let mut command = demo(&place, ports(), &["--orders", "100000", "--rate", "50"]);
    let log = place.path("demo.log");
    let file = std::fs::File::create(&log).expect("a log");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .expect("the demo runs");
    let said = || std::fs::read_to_string(&log).unwrap_or_default();
    wait("orders to be confirmed", &mut child, || confirmed(&said()));
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("it is alive");
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("its status") {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130), "{}", said());
    assert!(said().contains("draining the host"), "{}", said());
    assert_no_child(&place);
}

#[test]
fn a_port_in_use_is_refused_with_the_flag_that_changes_it() {
    let place = Place::empty();
    let base = ports();
    let _taken = TcpListener::bind(("127.0.0.1", base)).expect("it was free");
    let ended = run(&mut demo(&place, base, &["-o", "json"])).expect(5);
    assert_eq!(ended.error_code(), "WH0501");
    assert!(
        ended.json()["error"]["remedy"]
            .as_str()
            .is_some_and(|text| text.contains("--"))
    );
    assert_no_child(&place);
}

/// Whether the progress shows an order that is confirmed.
fn confirmed(said: &str) -> bool {
    let counts = said.split("confirmed ").skip(1);
    counts
        .filter_map(|rest| rest.split_whitespace().next())
        .any(|count| count.parse().is_ok_and(|count: u32| count > 0))
}

fn wait(what: &str, child: &mut Child, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}");
        let ended = child.try_wait().expect("its status");
        assert!(ended.is_none(), "it ended before {what}: {ended:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
