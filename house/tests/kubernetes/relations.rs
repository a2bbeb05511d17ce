//! What must agree between manifests, the files in them and the host: each of
//! these breaks in production, and no schema sees it.

use std::time::Duration;

use wharf_core::{needs, place};

use crate::Problem;
use crate::layer::{ConfigFile, Layer, Object, split_image};
use crate::pods::{self, POD};
use crate::yaml::Node;

/// What a host may take after its drain: 5 s to let go of what waits for the
/// broker, 3 s for the last spans, 1 s for answers over HTTP, 2 s for logs, and
/// some to end and be seen to.
const AFTER_DRAIN: Duration = Duration::from_secs(12);
/// What Kubernetes waits where a pod does not say.
const GRACE_DEFAULT_S: i64 = 30;
/// The image whose container is a host.
const IMAGE: &str = "wharf";

/// What is known of the host from its own sources.
pub struct Host {
    /// Paths that it answers over HTTP.
    pub routes: Vec<String>,
    pub version: String,
}

impl Host {
    /// From the text of its HTTP module and of the workspace's manifest.
    pub fn of(http: &str, manifest: &str) -> Self {
        let routes = http.split(".route(\"").skip(1);
        let routes = routes.filter_map(|rest| rest.split('"').next());
        let version = manifest
            .lines()
            .find_map(|line| line.strip_prefix("version = \""));
        let version = version.and_then(|rest| rest.strip_suffix('"'));
        Self {
            routes: routes.map(str::to_owned).collect(),
            version: version.unwrap_or_default().to_owned(),
        }
    }
}

/// Problems between the parts of a layer.
pub fn problems(layer: &Layer, host: &Host) -> Vec<Problem> {
    let mut found = Vec::new();
    let hosts = hosts(layer);
    if hosts.is_empty() {
        found.push(Problem::new(
            "k8s",
            format!("no workload runs the image `{IMAGE}`"),
        ));
    }
    for (workload, container) in hosts {
        found.extend(image_is_of_this_version(workload, container, host));
        found.extend(probes_ask_what_is_answered(workload, container, host));
        found.extend(rolls_without_a_gap(workload));
        found.extend(writes_only_where_it_may(workload, container));
        found.extend(files_are_sound(layer, workload, container));
    }
    found.extend(selectors_select(layer));
    found.extend(services_reach_ports(layer));
    found
}

/// Workloads with their container that is a host.
fn hosts(layer: &Layer) -> Vec<(&Object, &Node)> {
    let containers = pods::workloads(layer).flat_map(|workload| {
        let containers = workload
            .node
            .items_at(&[&POD[..], &["containers"]].concat());
        containers
            .iter()
            .map(move |container| (workload, container))
    });
    containers
        .filter(|(_, container)| {
            split_image(container.text_at(&["image"]).unwrap_or_default()).0 == IMAGE
        })
        .collect()
}

fn at(workload: &Object, node: &Node, what: String) -> Problem {
    let (file, line, kind, name) = (&workload.file, node.line, workload.kind(), workload.name());
    Problem::new(format!("{file}:{line}: {kind} {name}"), what)
}

fn image_is_of_this_version(workload: &Object, container: &Node, host: &Host) -> Option<Problem> {
    let image = container.text_at(&["image"]).unwrap_or_default();
    let version = &host.version;
    (split_image(image).1 != Some(version)).then(|| {
        at(
            workload,
            container,
            format!("the image `{image}` is not of this version, {version}"),
        )
    })
}

fn probes_ask_what_is_answered(workload: &Object, container: &Node, host: &Host) -> Vec<Problem> {
    let wanted = [
        // Losing the broker must never restart a host.
        ("startupProbe", "/health"),
        ("livenessProbe", "/health"),
        ("readinessProbe", "/ready"),
    ];
    let mut found = Vec::new();
    for (probe, wanted) in wanted {
        let Some(path) = container.at(&[probe, "httpGet", "path"]) else {
            found.push(at(
                workload,
                container,
                format!("the {probe} names no path"),
            ));
            continue;
        };
        let text = path.text().unwrap_or_default();
        if !host.routes.iter().any(|route| route == text) {
            found.push(at(
                workload,
                path,
                format!("the {probe} asks {text}, which a host does not answer"),
            ));
        } else if text != wanted {
            found.push(at(
                workload,
                path,
                format!("the {probe} asks {text}, and {wanted} is what it is for"),
            ));
        }
    }
    found
}

fn rolls_without_a_gap(workload: &Object) -> Option<Problem> {
    let path = ["spec", "strategy", "rollingUpdate", "maxUnavailable"];
    (workload.node.integer_at(&path) != Some(0)).then(|| {
        workload.problem(
            &["spec", "strategy"],
            "must say maxUnavailable: 0, so that a new host is ready before an old one drains",
        )
    })
}

/// The cache is made below a mount, since a host refuses a folder that others
/// may write, as the root of a volume is.
fn writes_only_where_it_may(workload: &Object, container: &Node) -> Option<Problem> {
    let cache = variable(container, "WHARF_CACHE")?;
    let folder = cache.text_at(&["value"]).unwrap_or_default();
    let pod = workload.node.at(&POD)?;
    let holds = |mount: &&Node| {
        let below = folder.strip_prefix(mount.text_at(&["mountPath"]).unwrap_or("?"));
        below.is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    };
    let mount = container.items_at(&["volumeMounts"]).iter().find(holds);
    let volume = mount.and_then(|mount| {
        let named = |volume: &&Node| volume.text_at(&["name"]) == mount.text_at(&["name"]);
        pod.items_at(&["volumes"]).iter().find(named)
    });
    let is_empty_dir = volume.is_some_and(|volume| volume.get("emptyDir").is_some());
    (!is_empty_dir).then(|| {
        at(
            workload,
            cache,
            format!("{folder} must be below the mount of an emptyDir"),
        )
    })
}

/// The files that a host is pointed at are there, and are what it reads.
fn files_are_sound(layer: &Layer, workload: &Object, container: &Node) -> Vec<Problem> {
    let mut found = Vec::new();
    match file(layer, workload, container, "WHARF_CONFIG") {
        Ok(config) => match place::parse(&config.path, &config.text) {
            Ok(place) => found.extend(place_fits_the_pod(workload, container, config, &place.host)),
            Err(problems) => found.extend(problems.iter().map(of_config)),
        },
        Err(problem) => found.push(problem),
    }
    let needs = file(layer, workload, container, "WHARF_NEEDS");
    match needs.map(|file| needs::parse(&file.path, &file.text)) {
        Ok(Ok(_)) => {}
        Ok(Err(problems)) => found.extend(problems.iter().map(of_config)),
        Err(problem) => found.push(problem),
    }
    found
}

fn of_config(problem: &wharf_core::config::Problem) -> Problem {
    let (file, line) = (&problem.file, problem.line);
    Problem::new(format!("{file}:{line}"), problem.message.clone())
}

fn place_fits_the_pod(
    workload: &Object,
    container: &Node,
    config: &ConfigFile,
    host: &place::HostSettings,
) -> Vec<Problem> {
    let mut found = Vec::new();
    let pod = workload.node.at(&POD).unwrap_or(&workload.node);
    let grace = pod
        .integer_at(&["terminationGracePeriodSeconds"])
        .unwrap_or(GRACE_DEFAULT_S);
    let before = container
        .integer_at(&["lifecycle", "preStop", "sleep", "seconds"])
        .unwrap_or(0);
    let needed = host.drain + AFTER_DRAIN + Duration::from_secs(before.unsigned_abs());
    if Duration::from_secs(grace.unsigned_abs()) < needed {
        let drain = host.drain.as_secs();
        let what = format!(
            "terminationGracePeriodSeconds is {grace}, and a host that drains for {drain} s ({}) needs {}: it would be killed",
            config.path,
            needed.as_secs()
        );
        found.push(at(workload, pod, what));
    }
    if !host.listen.ip().is_unspecified() {
        let what = format!(
            "host.listen is {}, which nobody outside the pod reaches: 0.0.0.0",
            host.listen
        );
        found.push(Problem::new(&config.path, what));
    }
    let port = i64::from(host.listen.port());
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asked = container.at(&[probe, "httpGet", "port"]);
        let asked = asked.and_then(|asked| Some((asked, pods::port_number(container, asked)?)));
        if let Some((node, asked)) = asked.filter(|(_, asked)| *asked != port) {
            let what = format!(
                "the {probe} asks port {asked}, and the host listens on {port} ({})",
                config.path
            );
            found.push(at(workload, node, what));
        }
    }
    found
}

/// The file in a config map that a variable of the container points at.
fn file<'a>(
    layer: &'a Layer,
    workload: &Object,
    container: &Node,
    name: &str,
) -> Result<&'a ConfigFile, Problem> {
    let missing = |node: &Node, what: String| at(workload, node, what);
    let Some(node) = variable(container, name) else {
        return Err(missing(container, format!("a host without {name}")));
    };
    let path = node.text_at(&["value"]).unwrap_or_default();
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let mounts = container.items_at(&["volumeMounts"]);
    let mount = mounts
        .iter()
        .find(|mount| mount.text_at(&["mountPath"]) == Some(folder));
    let volumes = workload.node.items_at(&[&POD[..], &["volumes"]].concat());
    let volume = volumes.iter().find(|volume| {
        mount.is_some_and(|mount| mount.text_at(&["name"]) == volume.text_at(&["name"]))
    });
    let map = volume.and_then(|volume| volume.text_at(&["configMap", "name"]));
    map.and_then(|map| layer.configs.get(map)?.get(file))
        .ok_or_else(|| {
            missing(
                node,
                format!("{name} is {path}, and no config map is mounted there with such a file"),
            )
        })
}

fn variable<'a>(container: &'a Node, name: &str) -> Option<&'a Node> {
    let variables = container.items_at(&["env"]);
    variables
        .iter()
        .find(|variable| variable.text_at(&["name"]) == Some(name))
}

/// Services, budgets and policies are about pods that there are.
fn selectors_select(layer: &Layer) -> Vec<Problem> {
    let kinds: [(&str, &[&str]); 5] = [
        ("Deployment", &["spec", "selector", "matchLabels"]),
        ("StatefulSet", &["spec", "selector", "matchLabels"]),
        ("Service", &["spec", "selector"]),
        ("PodDisruptionBudget", &["spec", "selector", "matchLabels"]),
        ("NetworkPolicy", &["spec", "podSelector", "matchLabels"]),
    ];
    let mut found = Vec::new();
    for (kind, path) in kinds {
        for object in layer.of_kind(kind) {
            // A service without a selector names its endpoints elsewhere.
            let Some(selector) = object.node.at(path) else {
                continue;
            };
            if !pods::workloads(layer).any(|workload| selects(selector, workload)) {
                found.push(object.problem(path, "selects no pod of this layer"));
            }
        }
    }
    found
}

fn selects(selector: &Node, workload: &Object) -> bool {
    let labels = workload
        .node
        .at(&["spec", "template", "metadata", "labels"]);
    let has = |(key, value): &(String, Node)| {
        labels.and_then(|labels| labels.text_at(&[key])) == value.text()
    };
    selector.entries().iter().all(has)
}

/// What a service forwards to, its pods name, and policies for them let in.
fn services_reach_ports(layer: &Layer) -> Vec<Problem> {
    let mut found = Vec::new();
    for service in layer.of_kind("Service") {
        let Some(selector) = service.node.at(&["spec", "selector"]) else {
            continue;
        };
        for port in service.node.items_at(&["spec", "ports"]) {
            let target = port
                .get("targetPort")
                .or_else(|| port.get("port"))
                .unwrap_or(port);
            for workload in pods::workloads(layer).filter(|workload| selects(selector, workload)) {
                let containers = workload
                    .node
                    .items_at(&[&POD[..], &["containers"]].concat());
                let number = containers
                    .iter()
                    .find_map(|container| pods::port_number(container, target));
                match number {
                    None => found.push(at(
                        service,
                        target,
                        format!("{} has no such port", workload.name()),
                    )),
                    Some(number) => found.extend(policies_let_in(layer, workload, number)),
                }
            }
        }
    }
    found
}

fn policies_let_in(layer: &Layer, workload: &Object, number: i64) -> Option<Problem> {
    let path = ["spec", "podSelector", "matchLabels"];
    let about = |policy: &&Object| {
        let kinds = policy.node.items_at(&["spec", "policyTypes"]);
        let is_about_ingress = kinds.iter().any(|kind| kind.text() == Some("Ingress"));
        is_about_ingress
            && policy
                .node
                .at(&path)
                .is_none_or(|selector| selects(selector, workload))
    };
    let mut policies = layer.of_kind("NetworkPolicy").filter(about).peekable();
    let first = *policies.peek()?;
    let lets_in = policies.any(|policy| {
        let rules = policy.node.items_at(&["spec", "ingress"]).iter();
        let mut ports = rules.flat_map(|rule| rule.items_at(&["ports"]));
        ports.any(|port| port.integer_at(&["port"]) == Some(number))
    });
    (!lets_in).then(|| {
        first.problem(
            &["spec", "ingress"],
            format!("lets nobody reach port {number} of {}", workload.name()),
        )
    })
}
