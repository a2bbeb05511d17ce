//! What every pod of a layer must be, whoever's it is: pinned, without rights,
//! and given what its containers name.

use crate::Problem;
use crate::layer::{Layer, Object, split_image};
use crate::yaml::Node;

/// Where a workload keeps its pod.
pub const POD: [&str; 3] = ["spec", "template", "spec"];

/// Kinds that make pods.
const WORKLOADS: [&str; 2] = ["Deployment", "StatefulSet"];

pub fn workloads(layer: &Layer) -> impl Iterator<Item = &Object> {
    layer
        .objects
        .iter()
        .filter(|object| WORKLOADS.contains(&object.kind()))
}

/// Problems of all pods of a layer.
pub fn problems(layer: &Layer) -> Vec<Problem> {
    let mut found = Vec::new();
    for workload in workloads(layer) {
        let mut pod = Pod {
            layer,
            workload,
            found: &mut found,
        };
        pod.has_no_rights();
        for container in workload
            .node
            .items_at(&[&POD[..], &["containers"]].concat())
        {
            pod.is_pinned(container);
            pod.is_confined(container);
            pod.has_its_mounts(container);
            pod.has_its_probes(container);
        }
    }
    found
}

struct Pod<'a> {
    layer: &'a Layer,
    workload: &'a Object,
    found: &'a mut Vec<Problem>,
}

impl Pod<'_> {
    fn spec(&self) -> &Node {
        self.workload.node.at(&POD).unwrap_or(&self.workload.node)
    }

    fn report(&mut self, node: &Node, what: String) {
        let (file, line) = (&self.workload.file, node.line);
        let (kind, name) = (self.workload.kind(), self.workload.name());
        let place = format!("{file}:{line}: {kind} {name}");
        self.found.push(Problem::new(place, what));
    }

    /// The restricted standard's part for pods, and no token of the cluster's.
    fn has_no_rights(&mut self) {
        let spec = self.spec().clone();
        let wanted = [
            (
                spec.is_at(&["automountServiceAccountToken"], false),
                "automountServiceAccountToken: false",
            ),
            (
                spec.is_at(&["enableServiceLinks"], false),
                "enableServiceLinks: false",
            ),
            (
                spec.is_at(&["securityContext", "runAsNonRoot"], true),
                "securityContext.runAsNonRoot: true",
            ),
            (
                spec.text_at(&["securityContext", "seccompProfile", "type"])
                    == Some("RuntimeDefault"),
                "securityContext.seccompProfile.type: RuntimeDefault",
            ),
        ];
        for (_, line) in wanted.iter().filter(|(holds, _)| !holds) {
            self.report(&spec, format!("the pod does not say `{line}`"));
        }
    }

    /// The same for containers, and a root that nobody writes.
    fn is_confined(&mut self, container: &Node) {
        let drops = container.items_at(&["securityContext", "capabilities", "drop"]);
        let wanted = [
            (
                container.is_at(&["securityContext", "allowPrivilegeEscalation"], false),
                "allowPrivilegeEscalation: false",
            ),
            (
                container.is_at(&["securityContext", "readOnlyRootFilesystem"], true),
                "readOnlyRootFilesystem: true",
            ),
            (
                drops.iter().any(|drop| drop.text() == Some("ALL")),
                "capabilities.drop: [ALL]",
            ),
        ];
        for (_, line) in wanted.iter().filter(|(holds, _)| !holds) {
            self.report(
                container,
                format!("a container does not say `securityContext.{line}`"),
            );
        }
        if container.at(&["resources", "limits", "memory"]).is_none() {
            self.report(container, "a container has no limit of memory".into());
        }
    }

    /// An image that is another tomorrow cannot be rolled back to.
    fn is_pinned(&mut self, container: &Node) {
        let named = container.text_at(&["image"]).unwrap_or_default();
        for image in [named.to_owned(), self.layer.image(named)] {
            if matches!(split_image(&image).1, None | Some("latest" | "")) {
                self.report(
                    container,
                    format!("the image `{image}` is not pinned: name a version"),
                );
            }
        }
    }

    /// Mounts name volumes of the pod, and volumes the layer's own config maps.
    fn has_its_mounts(&mut self, container: &Node) {
        let volumes = self.spec().items_at(&["volumes"]).to_vec();
        let named = |name: Option<&str>| {
            volumes
                .iter()
                .find(|volume| volume.text_at(&["name"]) == name)
        };
        for mount in container.items_at(&["volumeMounts"]) {
            let name = mount.text_at(&["name"]);
            let Some(volume) = named(name) else {
                self.report(
                    mount,
                    format!("there is no volume `{}`", name.unwrap_or_default()),
                );
                continue;
            };
            let Some(map) = volume.text_at(&["configMap", "name"]) else {
                continue;
            };
            let is_optional = volume.is_at(&["configMap", "optional"], true);
            if !is_optional && !self.layer.configs.contains_key(map) {
                self.report(volume, format!("there is no config map `{map}`"));
            }
        }
    }

    /// Probes ask a port that the container names.
    fn has_its_probes(&mut self, container: &Node) {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let Some(port) = container.at(&[probe, "httpGet", "port"]) else {
                self.report(container, format!("a container has no {probe} over HTTP"));
                continue;
            };
            if port_number(container, port).is_none() {
                self.report(
                    port,
                    format!("the {probe} asks a port that the container does not name"),
                );
            }
        }
    }
}

/// The number of a container's port that is named, or given as a number.
pub fn port_number(container: &Node, port: &Node) -> Option<i64> {
    let ports = container.items_at(&["ports"]);
    let found = ports.iter().find(|known| match port.text() {
        Some(name) => known.text_at(&["name"]) == Some(name),
        None => known.integer_at(&["containerPort"]) == port.integer(),
    });
    found?.integer_at(&["containerPort"])
}
