//! CPU time of processes, as the kernel counts it.

use anyhow::{Context, Result};

/// Ticks a second in `/proc`; the kernel's interface fixes it.
const TICKS: f64 = 100.0;

/// User and system time of a process so far, in seconds.
///
/// # Errors
/// When it has ended, or the system has no `/proc`.
pub fn seconds(pid: Option<u32>) -> Result<f64> {
    let pid = pid.context("the process has ended")?;
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    ticks(&text).map(|ticks| ticks as f64 / TICKS)
}

/// The program's name stands in parentheses and may hold anything.
fn ticks(stat: &str) -> Result<u64> {
    const USER: usize = 11;
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields);
    let fields: Vec<&str> = fields.unwrap_or_default().split_whitespace().collect();
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let used = number(USER).zip(number(USER + 1));
    used.map(|(user, system)| user + system)
        .context("/proc has another form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_passed_over() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 9 8 7 6 250 50 0 0 20 0 5 0";
        assert_eq!(ticks(stat).expect("has both"), 300);
    }

    #[test]
    fn this_process_has_a_time() {
        assert!(seconds(Some(std::process::id())).is_ok());
        assert!(seconds(None).is_err());
    }
}
