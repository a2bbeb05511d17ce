//! Where a table is in the list of all keys of its file.

use super::similar;

/// A place in a list of keys, such as `needs.N`. A single capital letter in the
/// list stands for a name that the author chooses.
pub(super) struct Shape {
    keys: &'static [&'static str],
    at: String,
}

impl Shape {
    /// The whole file.
    pub fn root(keys: &'static [&'static str]) -> Self {
        Self {
            keys,
            at: String::new(),
        }
    }

    /// The table under a key.
    pub fn child(&self, key: &str) -> Self {
        Self {
            keys: self.keys,
            at: join(&self.at, key),
        }
    }

    /// The table under a name that the author chose.
    pub fn named(&self) -> Self {
        self.child(
            self.children()
                .find(|child| is_placeholder(child))
                .unwrap_or_default(),
        )
    }

    /// Whether a key may stand here.
    pub fn knows(&self, key: &str) -> bool {
        self.children()
            .any(|child| child == key || is_placeholder(child))
    }

    /// What an unknown key of the table at `path` may have been meant to be.
    pub fn advice(&self, path: &str, key: &str) -> String {
        if let Some(known) = similar::nearest(key, self.children()) {
            return format!("did you mean `{}`?", join(path, known));
        }
        let elsewhere = self
            .keys
            .iter()
            .find(|known| known.rsplit('.').next() == Some(key));
        match elsewhere.map(|known| known.rsplit_once('.').map_or("", |(table, _)| table)) {
            Some("") => format!("`{key}` belongs above the first table of the file"),
            Some(table) => format!("`{key}` belongs in the table `{table}`"),
            None => {
                let mut known: Vec<&str> = self.children().collect();
                known.dedup();
                format!("remove it; here may stand: {}", known.join(", "))
            }
        }
    }

    /// What may stand here, repeated for each key below it.
    fn children(&self) -> impl Iterator<Item = &'static str> {
        let inside = move |key: &&'static str| {
            let rest = key.strip_prefix(self.at.as_str())?;
            let rest = if self.at.is_empty() {
                rest
            } else {
                rest.strip_prefix('.')?
            };
            rest.split('.').next()
        };
        self.keys.iter().filter_map(inside)
    }
}

/// A key behind the path of its table.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn is_placeholder(child: &str) -> bool {
    child.len() == 1 && child.starts_with(|c: char| c.is_ascii_uppercase())
}
