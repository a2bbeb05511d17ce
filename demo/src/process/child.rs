//! A child process with its log, its signals and its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::process::Command;

use crate::Error;

/// Lines of a log that an error quotes.
const TAIL_LINES: usize = 15;

/// A running program. Dropping it kills it.
pub struct Child {
    what: &'static str,
    process: tokio::process::Child,
    log: PathBuf,
}

/// What a process holds of main memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub resident_bytes: u64,
    /// The most that it ever held.
    pub resident_max_bytes: u64,
}

impl Child {
    /// Starts `command` in a process group of its own, its output appended to `log`.
    ///
    /// # Errors
    /// [`Error::Io`] when the log or the program cannot be opened.
    pub fn spawn(what: &'static str, command: &mut Command, log: &Path) -> Result<Self, Error> {
        let doing = || format!("opening {}", log.display());
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io(doing()))?;
        let copy = file.try_clone().map_err(Error::io(doing()))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(format!("starting {what}")))?;
        Ok(Self {
            what,
            process,
            log: log.to_owned(),
        })
    }

    /// None once it has ended and that was seen.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// # Errors
    /// [`Error::Exited`] when it is not running any more.
    pub fn require_running(&mut self) -> Result<(), Error> {
        let ended = self.process.try_wait().map_err(Error::io(self.asking()))?;
        match ended {
            None => Ok(()),
            Some(status) => Err(Error::Exited {
                what: self.what,
                status,
                tail: self.tail(),
            }),
        }
    }

    /// SIGTERM, then as much patience as `grace`, then SIGKILL.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal or to wait.
    pub async fn term(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::TERM)?;
        self.ended(grace).await
    }

    /// Waits for it to end; SIGKILL when it has not after `grace`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal or to wait.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the child as it is.
    pub async fn ended(&mut self, grace: Duration) -> Result<ExitStatus, Error> {
        if let Ok(ended) = tokio::time::timeout(grace, self.process.wait()).await {
            return ended.map_err(Error::io(self.asking()));
        }
        self.kill().await
    }

    /// SIGKILL; returns when the process is gone.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses to signal or to wait.
    pub async fn kill(&mut self) -> Result<ExitStatus, Error> {
        // Signalled by hand: the library's own kill refuses a child that just ended.
        self.signal(Signal::KILL)?;
        self.process.wait().await.map_err(Error::io(self.asking()))
    }

    /// Sends a signal; a process that has ended already is left in peace.
    ///
    /// # Errors
    /// [`Error::Io`] when the system refuses.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        // Not reaped yet, so the pid cannot belong to anybody else.
        let pid = self
            .pid()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        match pid.map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(Error::io(format!("signalling {}", self.what))(error.into())),
        }
    }

    /// The memory it holds now.
    ///
    /// # Errors
    /// [`Error::Io`] when it has ended, [`Error::Malformed`] on another system.
    pub fn memory(&self) -> Result<Memory, Error> {
        let path = format!("/proc/{}/status", self.pid().unwrap_or_default());
        let text = std::fs::read_to_string(&path).map_err(Error::io(format!("reading {path}")))?;
        let bytes = |name: &str| {
            kibibytes(&text, name)
                .map(|kib| kib * 1024)
                .ok_or_else(|| Error::malformed(&path, name))
        };
        Ok(Memory {
            resident_bytes: bytes("VmRSS:")?,
            resident_max_bytes: bytes("VmHWM:")?,
        })
    }

    /// The last lines that it wrote.
    pub fn tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn asking(&self) -> String {
        format!("asking how {} is", self.what)
    }
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Child {
        Child::spawn("a shell", Command::new("sh").args(["-c", script]), log).unwrap()
    }

    async fn said(child: &Child, word: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !child.tail().contains(word) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "it never said {word}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_child_that_heeds_term_ends_with_its_own_status() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap 'exit 3' TERM; echo set; while :; do sleep 0.05; done";
        let mut child = shell(script, &dir.path().join("log"));
        said(&child, "set").await;
        let status = child.term(Duration::from_secs(10)).await.unwrap();
        assert_eq!(status.code(), Some(3));
    }

    #[tokio::test]
    async fn a_child_that_ignores_term_is_killed_when_the_grace_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo set; while :; do sleep 0.05; done";
        let mut child = shell(script, &dir.path().join("log"));
        said(&child, "set").await;
        let status = child.term(Duration::from_millis(100)).await.unwrap();
        assert_eq!(status.code(), None);
    }

    #[tokio::test]
    async fn a_child_that_ended_is_reported_with_what_it_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("echo out of luck >&2; exit 4", &dir.path().join("log"));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let error = loop {
            match child.require_running() {
                Err(error) => break error,
                Ok(()) => assert!(tokio::time::Instant::now() < deadline),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(error.to_string().contains("out of luck"), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_child_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let child = shell("exec sleep 600", &dir.path().join("log"));
        assert!(child.memory().unwrap().resident_bytes > 0);
        let pid = child.pid().unwrap();
        drop(child);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        // A killed child that nobody has reaped yet is a zombie: state Z.
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        while alive() {
            assert!(
                tokio::time::Instant::now() < deadline,
                "pid {pid} is still there"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
