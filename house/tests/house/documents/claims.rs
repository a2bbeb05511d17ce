//! What a Markdown text claims to exist.

/// A thing that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// A recipe of the justfile.
    Recipe(String),
    /// A path of the checkout, perhaps with placeholders.
    Path(String),
    /// A link's target, relative to the document.
    Link(String),
}

impl Claim {
    /// The name itself.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Recipe(text) | Self::Path(text) | Self::Link(text) => text,
        }
    }
}

/// Extensions by which a name without a folder is known as a file.
const EXTENSIONS: &[&str] = &[
    "rs", "md", "toml", "wit", "sh", "lock", "yaml", "yml", "txt",
];

/// First parts of media types, which look like folders.
const MEDIA: &[&str] = &[
    "application",
    "text",
    "image",
    "audio",
    "video",
    "multipart",
];

/// The claims of a document, each with its line.
pub(super) fn of(text: &str) -> Vec<(usize, Claim)> {
    let mut prose = String::new();
    let mut claims = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        let command = line.trim_start().trim_start_matches("$ ");
        if command.starts_with("```") {
            fenced = !fenced;
        } else if command.starts_with("./just ") {
            claims.extend(of_code(command).map(|claim| (number + 1, claim)));
        } else if !fenced {
            prose.push_str(line);
        }
        prose.push('\n');
    }
    claims.extend(of_prose(&prose));
    claims
}

/// Claims of inline code and of links. A span may go on over a line's end.
fn of_prose(prose: &str) -> Vec<(usize, Claim)> {
    let mut claims = Vec::new();
    let mut line = 1;
    for (index, part) in prose.split('`').enumerate() {
        let is_code = index % 2 == 1;
        if is_code {
            claims.extend(of_code(part).map(|claim| (line, claim)));
        } else {
            claims.extend(links(part).map(|(after, claim)| (line + after, claim)));
        }
        line += part.matches('\n').count();
    }
    claims
}

fn links(text: &str) -> impl Iterator<Item = (usize, Claim)> {
    text.match_indices("](").filter_map(|(at, opening)| {
        let rest = &text[at + opening.len()..];
        let target = rest.split(')').next()?.split('#').next()?;
        let is_path = !target.is_empty() && !target.contains(':');
        let line = text[..at].matches('\n').count();
        is_path.then(|| (line, Claim::Link(target.to_owned())))
    })
}

/// The claim of a piece of code, if it makes one.
fn of_code(code: &str) -> Option<Claim> {
    let mut words = code.split_whitespace();
    let first = words.next()?;
    match (first, words.next()) {
        ("just", None) => None,
        ("just" | "./just", Some(argument)) => {
            (!argument.starts_with('-')).then(|| Claim::Recipe(argument.to_owned()))
        }
        (_, Some(_)) if !first.contains('/') => None,
        _ => is_path(first).then(|| Claim::Path(first.to_owned())),
    }
}

fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/<>{}*,…".contains(c);
    if !text.chars().all(plain)
        || text.contains("//")
        || !text.contains(|c: char| c.is_ascii_alphabetic())
    {
        return false;
    }
    match text.split_once('/') {
        Some((first, _)) => {
            !first.is_empty() && !first.starts_with(['<', '{', '*', '-']) && !MEDIA.contains(&first)
        }
        None => {
            let extension = text.rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
            extension.is_some_and(|(_, extension)| EXTENSIONS.contains(&extension))
        }
    }
}
