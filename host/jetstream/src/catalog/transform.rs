//! Under which subject a stream with a transform stored what was published.

use crate::api::stream::SubjectTransform;

/// The subject, or a filter that holds it where a function of the transform
/// cannot be computed here; None when even that is not certain.
pub(super) fn stored_filter(transform: &SubjectTransform, published: &str) -> Option<String> {
    let source = if transform.src.is_empty() {
        ">"
    } else {
        &transform.src
    };
    // The server stores what its transform does not match as it came.
    let Some((wildcards, rest)) = captures(source, published) else {
        return Some(published.to_owned());
    };
    let mut tokens: Vec<&str> = Vec::new();
    for token in transform.dest.split('.') {
        match mapped(token)? {
            Mapped::Literal => tokens.push(token),
            Mapped::Wildcard(n) => tokens.push(wildcards.get(n.checked_sub(1)?)?),
            Mapped::OneUnknown => tokens.push("*"),
            Mapped::Rest => tokens.extend(&rest),
        }
    }
    Some(tokens.join("."))
}

enum Mapped {
    Literal,
    /// Counted from 1, in the order of the source's wildcards.
    Wildcard(usize),
    OneUnknown,
    Rest,
}

/// None for what yields an unknown number of tokens.
fn mapped(token: &str) -> Option<Mapped> {
    if token == ">" {
        return Some(Mapped::Rest);
    }
    if let Some(number) = token.strip_prefix('$') {
        return number.parse().ok().map(Mapped::Wildcard);
    }
    let Some(call) = token.strip_prefix("{{") else {
        return Some(Mapped::Literal);
    };
    let (function, arguments) = call.strip_suffix("}}")?.trim().split_once('(')?;
    let first = arguments.split([',', ')']).next()?.trim();
    match function.trim().to_ascii_lowercase().as_str() {
        "wildcard" => first.parse().ok().map(Mapped::Wildcard),
        "partition" | "random" | "left" | "right" => Some(Mapped::OneUnknown),
        _ => None,
    }
}

/// What the `*` and the `>` of a filter stand for in a subject.
fn captures<'s>(filter: &str, subject: &'s str) -> Option<(Vec<&'s str>, Vec<&'s str>)> {
    let mut tokens = subject.split('.');
    let mut wildcards = Vec::new();
    for part in filter.split('.') {
        if part == ">" {
            let rest: Vec<&str> = tokens.collect();
            return (!rest.is_empty()).then_some((wildcards, rest));
        }
        let token = tokens.next()?;
        match part {
            "*" => wildcards.push(token),
            literal if literal == token => {}
            _ => return None,
        }
    }
    tokens.next().is_none().then_some((wildcards, Vec::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaving_22_the_stored_subject_is_looked_up_and_not_the_published_one() {
        let cases = [
            (
                "in.*",
                "part.{{partition(8,1)}}.{{wildcard(1)}}",
                "in.a",
                Some("part.*.a"),
            ),
            (
                "in.*.*",
                "out.$2.{{ Wildcard(1) }}",
                "in.a.b",
                Some("out.b.a"),
            ),
            ("in.>", "out.>", "in.a.b", Some("out.a.b")),
            ("", "all.>", "a.b", Some("all.a.b")),
            ("in.*", "out.$1", "other.a", Some("other.a")),
            ("in.*", "out.$2", "in.a", None),
            ("in.*", "out.{{split(1,-)}}", "in.a-b", None),
            ("in.*", "out.{{left(1,2)}}", "in.abc", Some("out.*")),
        ];
        for (src, dest, published, expected) in cases {
            let transform = SubjectTransform {
                src: src.to_owned(),
                dest: dest.to_owned(),
            };
            assert_eq!(
                stored_filter(&transform, published).as_deref(),
                expected,
                "{src} -> {dest}"
            );
        }
    }
}
