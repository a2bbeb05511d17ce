//! The forms that names have.

/// A form of names, with the words that describe it.
pub(crate) struct Form {
    pub fits: fn(&str) -> bool,
    pub said: &'static str,
}

/// Handlers, needs, timers.
pub(crate) const LABEL: Form = Form {
    fits: is_label,
    said: "1 to 63 lower-case letters, digits and `-`, a letter first",
};

/// Streams, as the broker allows them in file names and subjects.
pub(crate) const STREAM: Form = Form {
    fits: is_stream,
    said: "1 to 255 letters, digits, `_` and `-`",
};

/// Settings and secrets of a deployment.
pub(crate) const SETTING: Form = Form {
    fits: is_setting,
    said: "1 to 63 letters, digits, `_`, `-` and `.`, a letter first",
};

/// Headers of HTTP and of the broker.
pub(crate) const HEADER: Form = Form {
    fits: is_header,
    said: "1 to 64 letters, digits and `!#$%&'*+-.^_|~`",
};

/// Event types: any text without white space.
pub(crate) const EVENT_TYPE: Form = Form {
    fits: is_event_type,
    said: "1 to 256 bytes without white space",
};

/// Metrics and their labels, as Prometheus has them.
pub(crate) const METRIC: Form = Form {
    fits: is_metric,
    said: "1 to 128 letters, digits and `_`, no digit first and no `__` first",
};

pub(crate) const MEDIA_TYPE: Form = Form {
    fits: is_media_type,
    said: "a media type such as `application/json`",
};

pub(crate) fn is_header(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_|~`".contains(c);
    sized(text, 64) && text.chars().all(legal)
}

/// Headers of an event that reach the handler in another way: attributes and
/// trace context.
pub(crate) fn is_wire_header(name: &str) -> bool {
    name.starts_with("ce-") || ["traceparent", "tracestate"].contains(&name)
}

/// Headers of an outbound request that the host sets itself.
pub(crate) fn is_request_header(name: &str) -> bool {
    let connection = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
    ];
    connection.contains(&name) || ["traceparent", "tracestate"].contains(&name)
}

fn is_label(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    sized(text, 63) && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(legal)
}

fn is_stream(text: &str) -> bool {
    sized(text, 255)
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

fn is_setting(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    sized(text, 63)
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(legal)
}

fn is_event_type(text: &str) -> bool {
    sized(text, 256) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_metric(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = !text.starts_with(|c: char| c.is_ascii_digit()) && !text.starts_with("__");
    sized(text, 128) && first && text.chars().all(legal)
}

fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let parts: Vec<&str> = essence.split('/').collect();
    let visible = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    sized(text, 128)
        && visible
        && matches!(parts[..], [kind, form] if is_header(kind) && is_header(form))
}

fn sized(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
}
