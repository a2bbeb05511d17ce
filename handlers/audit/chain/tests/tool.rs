//! The tool, as a process.

use audit_chain::{Event, Head};
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Two links of one chain, on two lines.
fn chain() -> String {
    let event = |id| Event {
        source: "",
        id,
        event_type: "t",
        subject: "s",
        sequence: 1,
        data: b"",
    };
    let first = Head::default().append("order/A", event("e-1"));
    let second = first.head().append("order/A", event("e-2"));
    [first, second]
        .map(|link| serde_json::to_string(&link).expect("a link is JSON") + "\n")
        .concat()
}

fn run(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_audit-verify"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    let mut stdin = child.stdin.take().expect("the input is piped");
    // A tool that reads nothing may be gone already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the tool ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_whole_chain_is_exit_0_and_its_head_is_told_on_request() {
    let output = run(&[], &chain());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "1 chains, 2 links: whole\n");
    let output = run(&["--heads"], &chain());
    assert!(
        text(&output.stdout).starts_with("order/A 2 "),
        "{}",
        text(&output.stdout)
    );
}

#[test]
fn a_broken_chain_is_exit_1_and_the_link_is_named() {
    let output = run(&[], &chain().replace("e-2", "e-3"));
    assert_eq!(output.status.code(), Some(1));
    let message = text(&output.stderr);
    assert!(
        message.contains("line 2: the chain `order/A` breaks at link 2"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_read_is_exit_2() {
    for (arguments, input) in [
        (&["absent.ndjson"][..], ""),
        (&[], "{}"),
        (&["--wrong"], ""),
        (&["a", "b"], ""),
    ] {
        let output = run(arguments, input);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_has_an_example() {
    let output = run(&["--help"], "");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("example:"));
}
