//! A process whose stderr is read by its parent: logs, a panic, and the end.

use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;
use wharf_telemetry::{Error, logs};

const LINES: usize = 5_000;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("child") => child(),
        _ => a_process_writes_nothing_but_json_lines_and_all_of_them_before_it_ends(),
    }
}

fn child() {
    let _logs = logs::install(logs::Format::Json, "info").expect("the first time");
    let again = logs::install(logs::Format::Json, "info");
    assert!(matches!(again, Err(Error::LogsInstalled)));
    for n in 0..LINES {
        tracing::info!(n, "line");
    }
    let panicked = thread::spawn(|| panic!("a broken promise")).join();
    assert!(panicked.is_err());
}

fn a_process_writes_nothing_but_json_lines_and_all_of_them_before_it_ends() {
    let mut again = Command::new(std::env::current_exe().expect("this test is a program"));
    let output = again
        .arg("child")
        .stdout(Stdio::null())
        .output()
        .expect("the child runs");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    let parse = |line: &str| serde_json::from_str::<Value>(line).expect(line);
    let lines: Vec<Value> = text.lines().map(parse).collect();
    let numbers = lines.iter().filter_map(|line| line["n"].as_u64());
    assert!(numbers.eq(0..LINES as u64), "every line, in order");
    let panic = lines.last().expect("there are lines");
    assert_eq!(lines.len(), LINES + 1);
    assert_eq!(
        (&panic["target"], &panic["level"]),
        (&"panic".into(), &"error".into())
    );
    assert_eq!(panic["message"], "a broken promise");
    assert!(
        panic["location"]
            .as_str()
            .is_some_and(|at| at.contains("stderr.rs:")),
        "{panic}"
    );
    println!("stderr: {} lines read back", lines.len());
}
