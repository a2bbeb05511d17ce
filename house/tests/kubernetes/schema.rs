//! The API server's own schemas, as `k8s/lab/schemas` keeps them, and objects
//! held against them: an unknown field, a wrong type and a missing field are
//! problems, as in a strict dry run.

use serde_json::Value as Json;

use crate::Problem;
use crate::yaml::{Node, Value};

/// Whether an object has to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// A patch: what is required may be elsewhere, and `null` takes away.
    Part,
}

/// Definitions by name, and the kinds that they define.
pub struct Schemas {
    root: Json,
}

/// Where a check is: the file, the document in it, and what counts there.
struct Walk<'a> {
    schemas: &'a Schemas,
    file: &'a str,
    object: String,
    extent: Extent,
    problems: Vec<Problem>,
}

impl Schemas {
    /// # Errors
    /// When the text is not what `k8s/lab/schemas` writes.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let root: Json = serde_json::from_str(text)?;
        for part in ["kinds", "definitions"] {
            anyhow::ensure!(root[part].is_object(), "schemas without {part}");
        }
        Ok(Self { root })
    }

    /// What is wrong with a document of a manifest.
    pub fn check(&self, file: &str, document: &Node, extent: Extent) -> Vec<Problem> {
        let text = |key| document.text_at(&[key]).unwrap_or("?");
        let kind = format!("{} {}", text("apiVersion"), text("kind"));
        let name = document.text_at(&["metadata", "name"]).unwrap_or("?");
        let Some(definition) = self.root["kinds"][&kind].as_str() else {
            let what = format!(
                "no schema of `{kind}`: correct it, or name it in `k8s/lab/schemas` and take them anew"
            );
            return vec![Problem::new(format!("{file}:{}", document.line), what)];
        };
        self.check_as(
            definition,
            file,
            &format!("{} {name}", text("kind")),
            document,
            extent,
        )
    }

    /// The same for a definition that is named; `object` is what problems call it.
    pub fn check_as(
        &self,
        definition: &str,
        file: &str,
        object: &str,
        node: &Node,
        extent: Extent,
    ) -> Vec<Problem> {
        let mut walk = Walk {
            schemas: self,
            file,
            object: object.to_owned(),
            extent,
            problems: Vec::new(),
        };
        walk.node(&self.root["definitions"][definition], node, "");
        walk.problems
    }
}

impl Walk<'_> {
    fn node(&mut self, schema: &Json, node: &Node, path: &str) {
        let schema = match schema["$ref"].as_str() {
            Some(name) => &self.schemas.root["definitions"][name],
            None => schema,
        };
        if schema.is_null() {
            return self.report(
                node,
                path,
                "its definition is missing from the schemas".into(),
            );
        }
        if node.value == Value::Null {
            if self.extent == Extent::Whole {
                self.report(node, path, "has no value".into());
            }
            return;
        }
        let types = types(schema);
        let found = type_of(&node.value);
        let fits = |wanted: &&str| *wanted == found || (*wanted == "number" && found == "integer");
        if !types.is_empty() && !types.iter().any(fits) {
            let what = format!("must be {}, not {found}", types.join(" or "));
            return self.report(node, path, what);
        }
        if let (Some(allowed), Some(text)) = (schema["enum"].as_array(), node.text())
            && !allowed.iter().any(|value| value == text)
        {
            let allowed: Vec<_> = allowed.iter().filter_map(Json::as_str).collect();
            self.report(
                node,
                path,
                format!("`{text}` is none of {}", allowed.join(", ")),
            );
        }
        match &node.value {
            Value::Map(entries) => self.map(schema, node, entries, path),
            Value::List(items) => {
                for (nth, item) in items.iter().enumerate() {
                    self.node(&schema["items"], item, &format!("{path}[{nth}]"));
                }
            }
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            }
        }
    }

    fn map(&mut self, schema: &Json, node: &Node, entries: &[(String, Node)], path: &str) {
        let properties = schema["properties"].as_object();
        let others = &schema["additionalProperties"];
        for (key, value) in entries {
            let below = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match properties.and_then(|properties| properties.get(key)) {
                Some(known) => self.node(known, value, &below),
                None if !others.is_null() => self.node(others, value, &below),
                // An object of no known shape takes anything.
                None if properties.is_none() => {}
                None => self.report(value, &below, "there is no such field".into()),
            }
        }
        if self.extent == Extent::Part {
            return;
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for key in required.filter_map(Json::as_str) {
            if node.get(key).is_none() {
                self.report(node, path, format!("`{key}` is missing"));
            }
        }
    }

    fn report(&mut self, node: &Node, path: &str, what: String) {
        let (file, object, line) = (self.file, &self.object, node.line);
        let place = format!("{file}:{line}: {object}: {path}");
        self.problems
            .push(Problem::new(place.trim_end_matches([':', ' ']), what));
    }
}

/// The types that a schema takes; none: any.
fn types(schema: &Json) -> Vec<&str> {
    match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Integer(_) => "integer",
        Value::Float(_) => "number",
        Value::Text(_) => "string",
        Value::List(_) => "array",
        Value::Map(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    const SCHEMAS: &str = r##"{
        "kinds": {"v1 Thing": "Thing"},
        "definitions": {
            "Thing": {"type": "object", "required": ["spec"], "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": {"type": "object", "properties": {"name": {"type": "string"},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}}}},
                "spec": {"$ref": "Spec"}}},
            "Spec": {"type": "object", "required": ["image"], "properties": {
                "image": {"type": "string"}, "replicas": {"type": "integer"},
                "policy": {"type": "string", "enum": ["Always", "Never"]},
                "ports": {"type": "array", "items": {"type": "object", "properties": {"port": {"type": ["integer", "string"]}}}}}}
        }}"##;

    fn problems_in(lines: &str, extent: Extent) -> Vec<String> {
        let text = format!("apiVersion: v1\nkind: Thing\nmetadata: {{name: a}}\n{lines}");
        let document = &yaml::parse("t.yaml", &text).expect("YAML")[0];
        let schemas = Schemas::parse(SCHEMAS).expect("schemas");
        let found = schemas.check("t.yaml", document, extent);
        found.iter().map(Problem::to_string).collect()
    }

    fn problems(lines: &str) -> Vec<String> {
        problems_in(lines, Extent::Whole)
    }

    #[test]
    fn what_fits_the_schema_is_fine() {
        let sound = "spec:\n  image: x\n  replicas: 2\n  policy: Never\n  ports: [{port: 1}, {port: http}]\n";
        assert_eq!(problems(sound), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_field_is_reported_with_line_document_and_path() {
        let found = problems("spec:\n  image: x\n  ports:\n    - prot: 1\n");
        assert_eq!(
            found,
            ["t.yaml:7: Thing a: spec.ports[0].prot: there is no such field"]
        );
    }

    #[test]
    fn a_wrong_type_is_reported() {
        let found = problems("spec:\n  image: x\n  replicas: \"2\"\n");
        assert_eq!(
            found,
            ["t.yaml:6: Thing a: spec.replicas: must be integer, not string"]
        );
        let found = problems("spec: {image: x, ports: {port: 1}}\n");
        assert_eq!(
            found,
            ["t.yaml:4: Thing a: spec.ports: must be array, not object"]
        );
        let found = problems("spec: {image: x, policy: never}\n");
        assert_eq!(
            found,
            ["t.yaml:4: Thing a: spec.policy: `never` is none of Always, Never"]
        );
        let found = problems("spec: {image: }\n");
        assert_eq!(found, ["t.yaml:4: Thing a: spec.image: has no value"]);
    }

    #[test]
    fn what_is_missing_is_reported_of_whole_objects_alone() {
        assert_eq!(
            problems("spec: {}\n"),
            ["t.yaml:4: Thing a: spec: `image` is missing"]
        );
        assert_eq!(
            problems_in("spec: {replicas: ~}\n", Extent::Part),
            Vec::<String>::new()
        );
        assert_eq!(problems_in("spec: {replica: 1}\n", Extent::Part).len(), 1);
    }

    #[test]
    fn a_kind_without_a_schema_is_reported() {
        let document = &yaml::parse("t.yaml", "apiVersion: v2\nkind: Thing\n").expect("YAML")[0];
        let schemas = Schemas::parse(SCHEMAS).expect("schemas");
        let found = schemas.check("t.yaml", document, Extent::Whole);
        assert!(
            found[0]
                .to_string()
                .starts_with("t.yaml:1: no schema of `v2 Thing`")
        );
    }
}
