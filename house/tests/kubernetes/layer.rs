//! A folder with a `kustomization.yaml`, put together as `kubectl kustomize` does
//! with the few of its features that are used here; any other is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::Problem;
use crate::schema::{Extent, Schemas};
use crate::yaml::{self, Node, Value};

/// Texts by their path in the checkout.
pub type Files = BTreeMap<String, String>;

/// What a layer consists of, bases included, patches applied.
#[derive(Debug, Default)]
pub struct Layer {
    pub objects: Vec<Object>,
    /// Files of the generated config maps, by the map's name.
    pub configs: BTreeMap<String, BTreeMap<String, ConfigFile>>,
    /// Names and tags that replace images, by the name that is replaced.
    pub images: BTreeMap<String, String>,
    pub problems: Vec<Problem>,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub file: String,
    pub node: Node,
}

#[derive(Debug, Clone)]
pub struct ConfigFile {
    pub path: String,
    pub text: String,
}

impl Object {
    pub fn kind(&self) -> &str {
        self.node.text_at(&["kind"]).unwrap_or("?")
    }

    pub fn name(&self) -> &str {
        self.node.text_at(&["metadata", "name"]).unwrap_or("?")
    }

    /// Its place in the file, for a problem below `path`.
    pub fn problem(&self, path: &[&str], what: impl Into<String>) -> Problem {
        let line = self.node.at(path).unwrap_or(&self.node).line;
        let (file, kind, name) = (&self.file, self.kind(), self.name());
        Problem::new(
            format!("{file}:{line}: {kind} {name}: {}", path.join(".")),
            what,
        )
    }
}

/// The features of kustomize that a layer may use.
const KUSTOMIZATION: &str = r##"{
    "kinds": {"kustomize.config.k8s.io/v1beta1 Kustomization": "Kustomization"},
    "definitions": {
        "Text": {"type": "string"},
        "Texts": {"type": "array", "items": {"$ref": "Text"}},
        "Kustomization": {"type": "object", "required": ["resources"], "properties": {
            "apiVersion": {"$ref": "Text"}, "kind": {"$ref": "Text"}, "namespace": {"$ref": "Text"},
            "resources": {"$ref": "Texts"},
            "patches": {"type": "array", "items": {"type": "object", "required": ["path"],
                "properties": {"path": {"$ref": "Text"}}}},
            "configMapGenerator": {"type": "array", "items": {"type": "object", "required": ["name", "files"],
                "properties": {"name": {"$ref": "Text"}, "files": {"$ref": "Texts"},
                    "behavior": {"type": "string", "enum": ["create", "replace"]}}}},
            "images": {"type": "array", "items": {"type": "object", "required": ["name", "newTag"],
                "properties": {"name": {"$ref": "Text"}, "newName": {"$ref": "Text"}, "newTag": {"$ref": "Text"}}}}}}
    }}"##;

/// Reads a layer, checking each source against the schemas on the way.
pub fn read(files: &Files, schemas: &Schemas, folder: &str) -> Layer {
    let mut layer = Layer::default();
    let path = format!("{folder}/kustomization.yaml");
    let features = Schemas::parse(KUSTOMIZATION).expect("a constant");
    let Some(kustomization) = one_document(files, &path, &features, &mut layer.problems) else {
        return layer;
    };
    let mut used = BTreeSet::from([path.clone()]);
    for resource in texts(&kustomization, "resources") {
        let target = resolve(folder, resource);
        if files.contains_key(&format!("{target}/kustomization.yaml")) {
            layer.absorb(read(files, schemas, &target));
        } else if let Some(text) = files.get(&target) {
            layer.add(&target, text, schemas);
        } else {
            layer.problems.push(Problem::new(
                &path,
                format!("there is no resource `{resource}`"),
            ));
        }
        used.insert(target);
    }
    for patch in kustomization.items_at(&["patches"]) {
        let target = resolve(folder, patch.text_at(&["path"]).unwrap_or_default());
        layer.patch(files, &target, schemas);
        used.insert(target);
    }
    for generator in kustomization.items_at(&["configMapGenerator"]) {
        layer.generate(files, folder, generator, &mut used);
    }
    for image in kustomization.items_at(&["images"]) {
        let name = image.text_at(&["name"]).unwrap_or_default();
        let new_name = image.text_at(&["newName"]).unwrap_or(name);
        let tag = image.text_at(&["newTag"]).unwrap_or_default();
        layer
            .images
            .insert(name.to_owned(), format!("{new_name}:{tag}"));
    }
    let own = files
        .keys()
        .filter(|file| file.rsplit_once('/').is_some_and(|(of, _)| of == folder));
    for orphan in own.filter(|file| !used.contains(*file)) {
        layer
            .problems
            .push(Problem::new(orphan, format!("{path} does not name it")));
    }
    layer
}

impl Layer {
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(move |object| object.kind() == kind)
    }

    /// The image that runs where a manifest names `image`.
    pub fn image(&self, image: &str) -> String {
        let (name, _) = split_image(image);
        self.images
            .get(name)
            .cloned()
            .unwrap_or_else(|| image.to_owned())
    }

    fn absorb(&mut self, base: Self) {
        self.objects.extend(base.objects);
        self.configs.extend(base.configs);
        self.images.extend(base.images);
        self.problems.extend(base.problems);
    }

    fn add(&mut self, file: &str, text: &str, schemas: &Schemas) {
        match yaml::parse(file, text) {
            Ok(documents) => {
                for node in documents {
                    self.problems
                        .extend(schemas.check(file, &node, Extent::Whole));
                    self.objects.push(Object {
                        file: file.to_owned(),
                        node,
                    });
                }
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    fn patch(&mut self, files: &Files, path: &str, schemas: &Schemas) {
        let documents = match files.get(path).map(|text| yaml::parse(path, text)) {
            Some(Ok(documents)) => documents,
            Some(Err(problem)) => return self.problems.push(problem),
            None => {
                return self
                    .problems
                    .push(Problem::new(path, "there is no such patch"));
            }
        };
        for patch in documents {
            self.problems
                .extend(schemas.check(path, &patch, Extent::Part));
            let patch = Object {
                file: path.to_owned(),
                node: patch,
            };
            let same = |object: &&mut Object| {
                object.kind() == patch.kind() && object.name() == patch.name()
            };
            match self.objects.iter_mut().find(same) {
                Some(object) => merge(&mut object.node, &patch.node),
                None => self
                    .problems
                    .push(patch.problem(&["metadata", "name"], "patches nothing that is there")),
            }
        }
    }

    fn generate(
        &mut self,
        files: &Files,
        folder: &str,
        generator: &Node,
        used: &mut BTreeSet<String>,
    ) {
        let name = generator.text_at(&["name"]).unwrap_or_default();
        let replaces = generator.text_at(&["behavior"]) == Some("replace");
        let place = format!("{folder}/kustomization.yaml:{}", generator.line);
        if self.configs.contains_key(name) != replaces {
            let what = format!(
                "the config map `{name}` is {} in a base",
                if replaces { "not" } else { "already" }
            );
            self.problems.push(Problem::new(&place, what));
        }
        let mut held = BTreeMap::new();
        for file in texts(generator, "files") {
            let path = resolve(folder, file);
            match files.get(&path) {
                Some(text) => {
                    let text = text.clone();
                    used.insert(path.clone());
                    held.insert(file.to_owned(), ConfigFile { path, text });
                }
                None => self
                    .problems
                    .push(Problem::new(&place, format!("there is no file `{file}`"))),
            }
        }
        self.configs.insert(name.to_owned(), held);
    }
}

/// An image's name and its tag, if it has one.
pub fn split_image(image: &str) -> (&str, Option<&str>) {
    match image.rsplit_once(':') {
        // A port of a registry is not a tag.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

fn one_document(
    files: &Files,
    path: &str,
    schemas: &Schemas,
    problems: &mut Vec<Problem>,
) -> Option<Node> {
    let Some(text) = files.get(path) else {
        problems.push(Problem::new(path, "there is no such file"));
        return None;
    };
    match yaml::parse(path, text) {
        Ok(documents) if documents.len() == 1 => {
            problems.extend(schemas.check(path, &documents[0], Extent::Whole));
            documents.into_iter().next()
        }
        Ok(_) => {
            problems.push(Problem::new(path, "one document is expected"));
            None
        }
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// Maps are merged, lists of named things by their names; anything else is replaced.
fn merge(into: &mut Node, patch: &Node) {
    match (&mut into.value, &patch.value) {
        (Value::Map(known), Value::Map(changes)) => {
            for (key, change) in changes {
                match known.iter().position(|(name, _)| name == key) {
                    Some(at) if change.value == Value::Null => drop(known.remove(at)),
                    Some(at) => merge(&mut known[at].1, change),
                    None => known.push((key.clone(), change.clone())),
                }
            }
        }
        (Value::List(known), Value::List(changes))
            if changes.iter().all(|item| item.get("name").is_some()) =>
        {
            for change in changes {
                match known.iter_mut().find(|item| {
                    item.get("name").map(|n| &n.value) == change.get("name").map(|n| &n.value)
                }) {
                    Some(item) => merge(item, change),
                    None => known.push(change.clone()),
                }
            }
        }
        _ => *into = patch.clone(),
    }
}

fn texts<'a>(node: &'a Node, key: &str) -> impl Iterator<Item = &'a str> {
    node.items_at(&[key]).iter().filter_map(Node::text)
}

/// A path as a layer writes it, from the checkout's root.
fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests;
