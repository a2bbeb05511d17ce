//! The binary run to its end, or killed at a deadline.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::WHARF;

/// How long a command that must end may take.
const END_WITHIN: Duration = Duration::from_secs(60);

/// How a run ended; all of it is shown when a test fails.
#[derive(Debug)]
#[allow(dead_code, reason = "read through `Debug`")]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs the binary in `folder`, without any `WHARF_*` of this process.
pub fn run(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(WHARF);
    command
        .args(arguments)
        .current_dir(folder)
        .env("XDG_CONFIG_HOME", folder)
        .stdin(Stdio::null());
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WHARF_"))
    {
        command.env_remove(name);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // Read beside, so that a full pipe does not keep it from ending.
    let out = read(child.stdout.take());
    let err = read(child.stderr.take());
    let code = end(&mut child);
    let text = |reader: std::thread::JoinHandle<String>| reader.join().expect("text");
    let run = Run {
        code: code.unwrap_or_default(),
        out: text(out),
        err: text(err),
    };
    assert!(
        code.is_some(),
        "`wharf {}` did not end: {run:?}",
        arguments.join(" ")
    );
    run
}

fn read(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    let mut pipe = pipe.expect("it was asked for");
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

/// None when it had to be killed.
fn end(child: &mut Child) -> Option<Option<i32>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("its status") {
            return Some(status.code());
        }
        if begun.elapsed() > END_WITHIN {
            child.kill().expect("it is ours");
            child.wait().expect("its end");
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Run {
    /// The error of a run with `-o json`: its code and exit code are as named,
    /// and it says where it is and what to do.
    #[track_caller]
    pub fn refused(&self, code: &str, exit: i32) -> Value {
        let document: Value =
            serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let error = document["error"].clone();
        assert_eq!(
            (error["code"].as_str(), self.code),
            (Some(code), Some(exit)),
            "{self:?}"
        );
        for part in ["message", "remedy", "page"] {
            assert!(
                error[part].as_str().is_some_and(|text| !text.is_empty()),
                "{part}: {self:?}"
            );
        }
        error
    }
}
