//! Lists of subject patterns, as subscriptions and streams have them.

use super::{Code, Item, Span, Table};
use crate::pattern::Pattern;

/// Most patterns of one list.
const SUBJECTS_MAX: usize = 64;

/// Patterns of a list, each checked on its own.
pub fn patterns(table: &Table<'_>, key: &str) -> Vec<Item<Pattern>> {
    let mut patterns = Vec::new();
    for item in table.texts(key, 1..=SUBJECTS_MAX).unwrap_or_default() {
        match Pattern::parse(item.value) {
            Ok(pattern) => {
                report_reserved(table, &item.span, &pattern);
                patterns.push(Item {
                    value: pattern,
                    span: item.span,
                });
            }
            Err(error) => {
                let message = format!("`{}` is no subject pattern: {error}", item.value);
                let remedy =
                    "write tokens with dots between them, such as \"shop.order.{order}.*\"";
                table.problem_at(&item.span, Code::BadValue, message, remedy);
            }
        }
    }
    patterns
}

/// Reports each of `own` that matches a subject of an earlier pattern, of
/// another list or of its own.
pub fn report_overlaps(table: &Table<'_>, earlier: &[Item<Pattern>], own: &[Item<Pattern>]) {
    for (at, item) in own.iter().enumerate() {
        let before = earlier.iter().chain(&own[..at]);
        if let Some(other) = before
            .into_iter()
            .find(|other| other.value.overlaps(&item.value))
        {
            let message = format!(
                "`{}` and `{}` match the same subjects",
                other.value, item.value
            );
            let remedy =
                "make each subject match one pattern only; the broker refuses it otherwise";
            table.problem_at(&item.span, Code::Overlap, message, remedy);
        }
    }
}

/// Reports a pattern that reaches subjects which are not for events.
pub fn report_reserved(table: &Table<'_>, span: &Span, pattern: &Pattern) {
    if pattern.is_reserved() {
        let message =
            format!("`{pattern}` reaches subjects that the broker or the host keeps for itself");
        let remedy = "begin with a fixed token that is not wl, wt, _INBOX and has no $ in front";
        table.problem_at(span, Code::ReservedName, message, remedy);
    }
}
