use std::collections::BTreeSet;
use std::time::Duration;

use super::testing::found;
use super::units::{format_duration, format_size, parse_duration, parse_size};
use super::{Code, FILE_BYTES_MAX, Located, Problem, read, similar};

const KEYS: &[&str] = &[
    "count",
    "text",
    "inner.size",
    "inner.long",
    "named.N.flag",
    "named.N.note",
];

type Values = (Option<u32>, Option<u64>);

fn parse(text: &str) -> Result<Located<Values>, Vec<Problem>> {
    read("test.toml", text, KEYS, |root| {
        root.text("text", 0..=10);
        let inner = root.table("inner");
        inner.duration("long", Duration::from_secs(1)..=Duration::from_secs(60));
        for (_, named) in root.table("named").named_tables() {
            named.flag("flag");
            named.text("note", 1..=3);
        }
        (root.count("count", 1..=5), inner.size("size", 1..=4096))
    })
}

#[test]
fn a_valid_file_gives_its_values_and_their_places() {
    let located = parse("count = 3\n\n[inner]\n  size = \"2KiB\"\n").unwrap();
    assert_eq!(located.value, (Some(3), Some(2048)));
    let mark = located.place(&["inner", "size"]).unwrap();
    assert_eq!((mark.line, mark.column), (4, 3));
    assert_eq!(located.nearest(&["inner", "long"]).line, 3);
    assert_eq!(located.place(&["text"]), None);
}

#[test]
fn every_problem_is_reported_in_order_of_position() {
    let text = "cuont = 3\ntext = 7\n[inner]\nsize = \"1KB\"\nlong = \"2m\"\n[named.x]\nflag = \"yes\"\n[named.y]\nnote = \"four\"\n";
    let expected = [
        (1, Code::UnknownKey),
        (2, Code::WrongType),
        (4, Code::BadValue),
        (5, Code::OutOfBounds),
        (7, Code::WrongType),
        (9, Code::OutOfBounds),
    ];
    assert_eq!(found(parse(text)), expected);
}

#[test]
fn a_problem_reads_like_a_compiler_message_with_its_remedy() {
    let problems = parse("# é\n  cuont = 3\n").unwrap_err();
    let text = problems[0].to_string();
    assert_eq!(
        text,
        "test.toml:2:3: there is no key `cuont`\n  did you mean `count`?"
    );
}

#[test]
fn columns_count_characters() {
    let problems = parse("named.é = 1\nnamed.x = { note = \"ééé\", flag = 3 }\n").unwrap_err();
    let last = problems.last().unwrap();
    assert_eq!((last.line, last.column), (2, 34));
}

#[test]
fn a_key_in_the_wrong_table_is_told_where_it_belongs() {
    let remedy = |text: &str| parse(text).unwrap_err()[0].remedy.clone();
    assert_eq!(
        remedy("[inner]\ncount = 3\n"),
        "`count` belongs above the first table of the file"
    );
    assert_eq!(
        remedy("size = \"1KiB\"\n"),
        "`size` belongs in the table `inner`"
    );
    assert_eq!(remedy("[inner]\nsbze = 1\n"), "did you mean `inner.size`?");
    assert_eq!(
        remedy("[inner]\nfoo = 1\n"),
        "remove it; here may stand: size, long"
    );
}

#[test]
fn a_file_that_is_not_toml_reports_syntax_and_what_stands_alone() {
    let text = "count = = 3\ntext = 7\n[inner]\nsize = \"1KB\n";
    let codes = found(parse(text));
    assert!(codes.contains(&(1, Code::Syntax)), "{codes:?}");
    assert!(codes.contains(&(2, Code::WrongType)), "{codes:?}");
    assert!(codes.contains(&(4, Code::Syntax)), "{codes:?}");
}

#[test]
fn a_key_twice_is_a_syntax_error_at_the_second() {
    assert_eq!(found(parse("count = 1\ncount = 2\n")), [(2, Code::Syntax)]);
}

#[test]
fn a_file_beyond_the_bound_is_not_read() {
    let text = "#".repeat(FILE_BYTES_MAX + 1);
    assert_eq!(found(parse(&text)), [(1, Code::OutOfBounds)]);
    assert!(parse(&text[1..]).is_ok());
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_a_syntax_error() {
    let deep = [
        "a.".repeat(200_000) + "a = 1",
        format!("a = {}", "[".repeat(400_000)),
        "a={".repeat(200_000),
    ];
    for text in deep {
        assert_eq!(found(parse(&text))[0], (1, Code::Syntax));
    }
}

#[test]
fn numbers_that_no_type_can_hold_are_out_of_bounds() {
    for text in [
        "count = -1",
        "count = 99999999999999999999999999999999999999999999",
        "count = 6",
    ] {
        assert_eq!(found(parse(text)), [(1, Code::OutOfBounds)], "{text}");
    }
    assert_eq!(parse("count = 0x5").unwrap().value.0, Some(5));
}

#[test]
fn durations_have_one_number_and_one_unit() {
    let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
    for (text, expected) in [
        ("250ms", 250),
        ("3s", 3_000),
        ("15m", 900_000),
        ("24h", 86_400_000),
        ("90d", 7_776_000_000),
    ] {
        assert_eq!(ms(text), Some(expected));
        assert_eq!(
            parse_duration(&format_duration(parse_duration(text).unwrap())),
            parse_duration(text)
        );
    }
    for text in [
        "",
        "5",
        "s",
        "1h30m",
        "1.5s",
        "-1s",
        "5 s",
        "5S",
        "5min",
        "99999999999999999999s",
        "9999999999999999d",
    ] {
        assert_eq!(ms(text), None, "{text}");
    }
    assert_eq!(format_duration(Duration::from_millis(1500)), "1500ms");
    assert_eq!(format_duration(Duration::ZERO), "0ms");
    assert_eq!(format_duration(Duration::from_secs(120)), "2m");
}

#[test]
fn sizes_have_one_number_and_one_binary_unit() {
    for (text, expected) in [
        ("512B", 512),
        ("64KiB", 65_536),
        ("1MiB", 1 << 20),
        ("10GiB", 10 << 30),
    ] {
        assert_eq!(parse_size(text), Some(expected));
        assert_eq!(format_size(expected), text);
    }
    for text in ["", "64", "64KB", "64k", "1.5MiB", "17179869184GiB"] {
        assert_eq!(parse_size(text), None, "{text}");
    }
}

#[test]
fn a_slip_of_the_finger_finds_its_word_and_another_word_finds_none() {
    let words = ["subjects", "key", "types"];
    let nearest = |word| similar::nearest(word, words.iter().copied());
    assert_eq!(nearest("subject"), Some("subjects"));
    assert_eq!(nearest("sbujects"), Some("subjects"));
    assert_eq!(nearest("Types"), Some("types"));
    assert_eq!(nearest("partitions"), None);
    assert_eq!(nearest(&"x".repeat(10_000)), None);
}

#[test]
fn codes_have_distinct_kebab_case_texts() {
    let texts: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), Code::ALL.len());
    for text in texts {
        assert!(
            text.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{text}"
        );
    }
}

#[test]
fn a_problem_as_json_carries_its_code_as_text() {
    let problems = parse("cuont = 3\n").unwrap_err();
    let json = serde_json::to_value(&problems[0]).unwrap();
    assert_eq!(json["code"], "unknown-key");
    assert_eq!(json["line"], 1);
}
