//! `[[on]]` and `[emits]`: what a handler reads and where its events go.

use std::collections::BTreeMap;

use super::{RESERVED_TYPE, Subscription};
use crate::config::names::EVENT_TYPE;
use crate::config::{Code, Item, Table, subjects};
use crate::pattern::{KeyRule, PATTERN_BYTES_MAX, Pattern, Template};

/// Most `[[on]]` of a handler, and most event types of one list.
const SUBSCRIPTIONS_MAX: usize = 32;
const TYPES_MAX: usize = 256;

pub(super) fn read(root: &Table<'_>) -> Vec<Subscription> {
    root.require("on", "add [[on]] with the subjects that the handler reads");
    let mut patterns: Vec<Item<Pattern>> = Vec::new();
    let mut subscriptions = Vec::new();
    for table in &tables(root) {
        table.require(
            "subjects",
            "write subjects = [\"…\"], the patterns that it reads",
        );
        let own = subjects::patterns(table, "subjects");
        let key = key(table);
        report_missing_captures(table, key.as_ref(), &own);
        subjects::report_overlaps(table, &patterns, &own);
        let types = types(table);
        subscriptions.push(Subscription {
            subjects: own.iter().map(|p| p.value.clone()).collect(),
            key,
            types,
        });
        patterns.extend(own);
    }
    subscriptions
}

/// The tables `[[on]]`, in order.
pub(super) fn tables<'a>(root: &Table<'a>) -> Vec<Table<'a>> {
    root.tables("on", 1..=SUBSCRIPTIONS_MAX)
}

pub(super) fn emits(table: &Table<'_>) -> BTreeMap<String, Template> {
    table.at_most(TYPES_MAX);
    let mut emits = BTreeMap::new();
    for (name, _) in table.named() {
        if table.name_fits(&name, &EVENT_TYPE) {
            report_reserved_type(table, &name);
        }
        let Some(text) = table.text(name.value, 1..=PATTERN_BYTES_MAX) else {
            continue;
        };
        match Template::parse(text) {
            Ok(template) => {
                subjects::report_reserved(table, &table.span_of(name.value), &template.pattern());
                emits.insert(name.value.to_owned(), template);
            }
            Err(error) => {
                let message = format!("`{text}` is no subject for events: {error}");
                let remedy = "write {key} as one token, such as \"shop.order.{key}.confirmed\"";
                table.problem(name.value, Code::BadValue, message, remedy);
            }
        }
    }
    emits
}

fn key(table: &Table<'_>) -> Option<KeyRule> {
    let text = table.text("key", 1..=PATTERN_BYTES_MAX)?;
    match KeyRule::parse(text) {
        Ok(rule) => Some(rule),
        Err(error) => {
            let message = format!("`{text}` is no key rule: {error}");
            let remedy = "write captures such as \"{order}\" or \"{aggregate}/{id}\", \
                          or data:/pointer, header:name, attribute:name";
            table.problem("key", Code::BadValue, message, remedy);
            None
        }
    }
}

fn types(table: &Table<'_>) -> Option<Vec<String>> {
    let items = table.names("types", 1..=TYPES_MAX, &EVENT_TYPE)?;
    for item in &items {
        report_reserved_type(table, item);
    }
    Some(
        items
            .into_iter()
            .map(|item| item.value.to_owned())
            .collect(),
    )
}

fn report_missing_captures(table: &Table<'_>, key: Option<&KeyRule>, patterns: &[Item<Pattern>]) {
    let Some(KeyRule::Template(template)) = key else {
        return;
    };
    for item in patterns {
        let lacks = |name: &&str| !item.value.captures().any(|known| known == *name);
        if let Some(name) = template.captures().find(lacks) {
            let message = format!(
                "`{}` captures no `{name}`, which `key` asks for",
                item.value
            );
            let remedy = format!("write {{{name}}} in place of one of its tokens");
            table.problem_at(&item.span, Code::MissingCapture, message, remedy);
        }
    }
}

fn report_reserved_type(table: &Table<'_>, item: &Item<&str>) {
    if item.value.starts_with(RESERVED_TYPE) {
        let message = format!("`{}` is a type of the host's own events", item.value);
        let remedy = "use another type; timers reach the handler without a subscription";
        table.problem_at(&item.span, Code::ReservedName, message, remedy);
    }
}
