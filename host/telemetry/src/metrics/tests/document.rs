//! `docs/metrics.md` against the definitions.

use super::*;

#[test]
fn the_document_lists_every_metric_as_it_is_defined() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md is there");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|row| row[0].starts_with('`'))
        .collect();
    let code: Vec<[String; 4]> = HOST
        .iter()
        .map(|definition| {
            let labels: Vec<String> = definition
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let name = format!("`{}`", definition.name);
            [
                name,
                definition.kind.name().to_owned(),
                labels.join(", "),
                definition.help.to_owned(),
            ]
        })
        .collect();
    for row in &code {
        assert!(
            rows.iter().any(|listed| listed == row),
            "docs/metrics.md lacks | {} |",
            row.join(" | ")
        );
    }
    assert_eq!(
        rows.len(),
        code.len(),
        "docs/metrics.md lists what is not defined"
    );
}

#[test]
fn the_document_names_every_value_of_every_closed_label() {
    use labels::{CallLabel, Label};
    fn names<L: Label>() -> Vec<&'static str> {
        L::ALL.iter().map(|label| label.name()).collect()
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("docs/metrics.md is there");
    for (metric, values) in [
        ("wharf_events_total", names::<EventOutcome>()),
        ("wharf_unsettled", names::<UnsettledState>()),
        ("wharf_attempts_total", names::<AttemptResult>()),
        ("wharf_reader_reopened_total", names::<ReopenReason>()),
        ("wharf_need_calls_total", names::<CallLabel>()),
    ] {
        let heading = format!("### Values in `{metric}`\n");
        let (_, section) = text
            .split_once(&heading)
            .unwrap_or_else(|| panic!("no section {heading}"));
        let section = section.split("\n#").next().unwrap_or_default();
        let listed: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("- `")?.split('`').next())
            .collect();
        assert_eq!(listed, values, "{metric}");
    }
}
