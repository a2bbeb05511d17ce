//! Layers of a few lines, sound and broken.

use super::*;

const SCHEMAS: &str = r#"{"kinds": {"v1 Thing": "Thing"}, "definitions": {"Thing": {"type": "object",
    "required": ["spec"], "properties": {"apiVersion": {}, "kind": {}, "metadata": {}, "spec": {}}}}}"#;
const HEAD: &str = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n";
const THING: &str = "apiVersion: v1\nkind: Thing\nmetadata: {name: a}\nspec: {parts: [{name: x, size: 1}, {name: z, size: 2}], left: 3}\n";

fn layer(files: &[(&str, &str)]) -> Layer {
    let mut all = Files::new();
    for (path, text) in files {
        let head = if path.ends_with("kustomization.yaml") {
            HEAD
        } else {
            ""
        };
        all.insert((*path).to_owned(), format!("{head}{text}"));
    }
    let schemas = Schemas::parse(SCHEMAS).expect("schemas");
    read(&all, &schemas, "k8s/over")
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    layer(files)
        .problems
        .iter()
        .map(Problem::to_string)
        .collect()
}

#[test]
fn a_patch_changes_what_it_names_and_leaves_the_rest() {
    let patch = "apiVersion: v1\nkind: Thing\nmetadata: {name: a}\nspec: {parts: [{name: z, size: 5}], left: ~}\n";
    let layer = layer(&[
        ("k8s/base/kustomization.yaml", "resources: [thing.yaml]\n"),
        ("k8s/base/thing.yaml", THING),
        (
            "k8s/over/kustomization.yaml",
            "resources: [../base]\npatches: [{path: patch.yaml}]\n",
        ),
        ("k8s/over/patch.yaml", patch),
    ]);
    assert_eq!(layer.problems, Vec::new());
    let parts = layer.objects[0].node.items_at(&["spec", "parts"]);
    let sizes: Vec<_> = parts
        .iter()
        .map(|part| part.integer_at(&["size"]))
        .collect();
    assert_eq!(sizes, [Some(1), Some(5)]);
    assert_eq!(layer.objects[0].node.at(&["spec", "left"]), None);
}

#[test]
fn a_config_map_is_made_once_and_replaced_only_where_it_is() {
    let base = [
        (
            "k8s/base/kustomization.yaml",
            "resources: []\nconfigMapGenerator: [{name: c, files: [f.toml]}]\n",
        ),
        ("k8s/base/f.toml", "one"),
        ("k8s/over/f.toml", "two"),
    ];
    let over = |behavior: &str| {
        format!(
            "resources: [../base]\nconfigMapGenerator: [{{name: c, files: [f.toml]{behavior}}}]\n"
        )
    };
    let replacing = over(", behavior: replace");
    let files = [
        &base[..],
        &[("k8s/over/kustomization.yaml", replacing.as_str())],
    ]
    .concat();
    assert_eq!(layer(&files).configs["c"]["f.toml"].text, "two");
    assert_eq!(problems(&files), Vec::<String>::new());
    let making = over("");
    let files = [
        &base[..],
        &[("k8s/over/kustomization.yaml", making.as_str())],
    ]
    .concat();
    assert_eq!(
        problems(&files),
        ["k8s/over/kustomization.yaml:4: the config map `c` is already in a base"]
    );
}

#[test]
fn a_file_that_nobody_names_and_one_that_is_not_there_are_reported() {
    let files = [
        ("k8s/over/kustomization.yaml", "resources: [gone.yaml]\n"),
        ("k8s/over/thing.yaml", THING),
    ];
    assert_eq!(
        problems(&files),
        [
            "k8s/over/kustomization.yaml: there is no resource `gone.yaml`",
            "k8s/over/thing.yaml: k8s/over/kustomization.yaml does not name it",
        ]
    );
}

#[test]
fn a_patch_of_nothing_and_a_feature_that_is_not_known_are_reported() {
    let files = [
        (
            "k8s/over/kustomization.yaml",
            "resources: []\npatches: [{path: patch.yaml}]\nnamePrefix: x\n",
        ),
        ("k8s/over/patch.yaml", THING),
    ];
    assert_eq!(
        problems(&files),
        [
            "k8s/over/kustomization.yaml:5: Kustomization ?: namePrefix: there is no such field",
            "k8s/over/patch.yaml:3: Thing a: metadata.name: patches nothing that is there",
        ]
    );
}

#[test]
fn names_of_images_are_split_from_tags_and_not_from_ports() {
    assert_eq!(split_image("wharf:0.1.0"), ("wharf", Some("0.1.0")));
    assert_eq!(
        split_image("registry:5000/wharf"),
        ("registry:5000/wharf", None)
    );
}
