//! What the doctor found, one line each.

use std::fmt;

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::codes::Code;

/// One fact about the broker or the place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    topic: &'static str,
    verdict: Verdict,
    fact: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip)]
    code: Option<Code>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Verdict {
    Good,
    /// Worth a look; nothing is refused for it.
    Advice,
    Bad,
}

/// As it should be.
pub fn good(topic: &'static str, fact: impl Into<String>) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Good,
        fact: fact.into(),
        remedy: None,
        code: None,
    }
}

/// Worth a look.
pub fn advice(topic: &'static str, fact: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Advice,
        fact: fact.into(),
        remedy: Some(remedy.into()),
        code: None,
    }
}

/// Not well; the command fails.
pub fn bad(
    topic: &'static str,
    code: Code,
    fact: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        topic,
        verdict: Verdict::Bad,
        fact: fact.into(),
        remedy: Some(remedy.into()),
        code: Some(code),
    }
}

/// All findings, in the order in which they were made.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether the broker keeps what it acknowledged, as far as can be seen.
    keeps_what_it_acknowledged: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub fn new(findings: Vec<Finding>, quiet: bool) -> Self {
        let keeps = !findings
            .iter()
            .any(|finding| finding.code == Some(Code::NotDurable));
        let shown = |finding: &Finding| !quiet || finding.verdict == Verdict::Bad;
        Self {
            keeps_what_it_acknowledged: keeps,
            findings: findings.into_iter().filter(shown).collect(),
        }
    }

    /// Loss goes before everything else, then the first that is bad.
    pub fn failure(&self) -> Option<Failure> {
        let bad: Vec<&Finding> = self
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Bad)
            .collect();
        let lossy = bad
            .iter()
            .find(|finding| finding.code == Some(Code::NotDurable));
        let worst = lossy.or_else(|| bad.first())?;
        let code = worst.code.unwrap_or(Code::Unexpected);
        let message = match (code, bad.len()) {
            (Code::NotDurable, _) => "P1 (no loss) does not hold with this broker".to_owned(),
            (_, 1) => "one thing is not well".to_owned(),
            (_, n) => format!("{n} things are not well"),
        };
        let failure = Failure::new(code, message);
        Some(match &worst.remedy {
            Some(remedy) => failure.place(worst.fact.clone()).remedy(remedy.clone()),
            None => failure,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding {
            topic,
            verdict,
            fact,
            remedy,
            ..
        } in &self.findings
        {
            let mark = match verdict {
                Verdict::Good => "ok",
                Verdict::Advice => "note",
                Verdict::Bad => "BAD",
            };
            writeln!(f, "{mark:<5} {topic:<12} {fact}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "{:<18} {remedy}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_goes_before_everything_else_and_quiet_leaves_only_what_is_bad() {
        let findings = vec![
            good("server", "new enough"),
            bad(
                "assets",
                Code::AssetMissing,
                "stream S is missing",
                "wharf provision",
            ),
            bad("durability", Code::NotDurable, "one replica", "three"),
            advice("durability", "disk", "sync"),
        ];
        let report = Report::new(findings.clone(), true);
        assert_eq!(report.findings.len(), 2);
        assert_eq!(
            report.failure().map(|failure| failure.code),
            Some(Code::NotDurable)
        );
        assert!(!report.keeps_what_it_acknowledged);
        let report = Report::new(vec![findings[0].clone(), findings[3].clone()], true);
        assert_eq!((report.failure(), report.to_string().as_str()), (None, ""));
    }
}
