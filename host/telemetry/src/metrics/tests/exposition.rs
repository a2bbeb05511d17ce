//! OpenMetrics text, read back strictly: what this refuses, a scraper may too.

use std::collections::{BTreeMap, BTreeSet};

pub struct Exposition {
    families: BTreeMap<String, Family>,
}

pub struct Family {
    pub kind: String,
    pub help: String,
    pub samples: Vec<Sample>,
}

pub struct Sample {
    name: String,
    pub labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    pub fn parse(text: &str) -> Result<Self, String> {
        let body = text
            .strip_suffix("# EOF\n")
            .ok_or("the text does not end in # EOF")?;
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        let mut seen = BTreeSet::new();
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').ok_or_else(|| line.to_owned())?;
                let family = Family {
                    kind: String::new(),
                    help: unescape(help)?,
                    samples: Vec::new(),
                };
                if families.insert(name.to_owned(), family).is_some() {
                    return Err(format!("the family {name} comes twice"));
                }
                name.clone_into(&mut current);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| line.to_owned())?;
                let family = families.get_mut(name).filter(|_| name == current);
                kind.clone_into(
                    &mut family
                        .ok_or_else(|| format!("{line}: not behind its help"))?
                        .kind,
                );
            } else {
                let sample = Sample::parse(line)?;
                if !seen.insert((sample.name.clone(), sample.labels.clone())) {
                    return Err(format!("the sample comes twice: {line}"));
                }
                let family = families
                    .get_mut(&current)
                    .ok_or_else(|| format!("{line}: of no family"))?;
                if !belongs(&sample.name, &current, &family.kind) {
                    return Err(format!("{line}: is none of {current}, a {}", family.kind));
                }
                family.samples.push(sample);
            }
        }
        Ok(Self { families })
    }

    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.families.keys()
    }

    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.samples(name)
            .find(|sample| sample.labels == labels)
            .map(|sample| sample.value)
    }

    pub fn sum(&self, name: &str) -> f64 {
        self.samples(name).map(|sample| sample.value).sum()
    }

    fn samples(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.families
            .values()
            .flat_map(|family| &family.samples)
            .filter(move |sample| sample.name == name)
    }
}

fn belongs(sample: &str, family: &str, kind: &str) -> bool {
    let suffixes: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" | "unknown" => &[""],
        "histogram" => &["_bucket", "_sum", "_count"],
        "info" => &["_info"],
        _ => &[],
    };
    suffixes
        .iter()
        .any(|suffix| sample.strip_suffix(suffix) == Some(family))
}

impl Sample {
    fn parse(line: &str) -> Result<Self, String> {
        let bad = || format!("not a sample: {line}");
        let at = line.find(['{', ' ']).ok_or_else(bad)?;
        let (name, rest) = line.split_at(at);
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(legal) {
            return Err(bad());
        }
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => parse_labels(rest).ok_or_else(bad)?,
            None => (BTreeMap::new(), rest),
        };
        let value = value
            .strip_prefix(' ')
            .ok_or_else(bad)?
            .parse()
            .map_err(|_| bad())?;
        Ok(Self {
            name: name.to_owned(),
            labels,
            value,
        })
    }
}

/// `name="value",…}` and what follows it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, quoted) = rest.split_once("=\"")?;
        let end = closing_quote(quoted)?;
        let value = unescape(&quoted[..end]).ok()?;
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        rest = &quoted[end + 1..];
        match rest.split_at_checked(1)? {
            ("}", after) => return Some((labels, after)),
            (",", after) => rest = after,
            _ => return None,
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '"')) => out.push(c),
                other => return Err(format!("\\{other:?} in {text}")),
            },
            '"' => return Err(format!("a bare quote in {text}")),
            c => out.push(c),
        }
    }
    Ok(out)
}
