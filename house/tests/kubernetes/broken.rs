//! This checkout with one thing broken in it: each rule is seen to fail where it
//! will have to.

use crate::checkout::{files, problems};

const DEPLOYMENT: &str = "k8s/base/deployment.yaml";
const CONFIG: &str = "k8s/base/wharf.toml";
const LAB: &str = "k8s/overlays/lab/kustomization.yaml";

/// The problems of the checkout with `old` replaced by `new` in one file.
#[track_caller]
fn broken(path: &str, old: &str, new: &str) -> Vec<String> {
    let mut files = files().expect("the checkout");
    let text = files.get_mut(path).expect(path);
    let is_there = text.contains(old);
    assert!(
        is_there,
        "{path} has no {old:?} any more: break something else"
    );
    *text = text.replacen(old, new, 1);
    problems(&files).expect("the checkout")
}

/// Exactly this is noticed; the lab stands on the base and may notice it too.
#[track_caller]
fn noticed(path: &str, old: &str, new: &str, expected: &str) {
    let found = broken(path, old, new);
    let about_it = |problem: &String| problem.contains(expected);
    let is_noticed = !found.is_empty() && found.iter().all(about_it);
    assert!(is_noticed, "{old:?} as {new:?} in {path}: {found:#?}");
}

#[test]
fn a_field_that_does_not_exist_is_noticed_wherever_it_is() {
    let cases = [
        (DEPLOYMENT, "revisionHistoryLimit", "revisionHistorylimit"),
        (DEPLOYMENT, "failureThreshold: 60", "failureTreshold: 60"),
        ("k8s/base/service.yaml", "targetPort", "target"),
        (
            "k8s/base/serviceaccount.yaml",
            "automountServiceAccountToken",
            "automountToken",
        ),
        ("k8s/base/networkpolicy.yaml", "podSelector: {}", "pods: {}"),
        (
            "k8s/base/poddisruptionbudget.yaml",
            "unhealthyPodEvictionPolicy",
            "evictionPolicy",
        ),
        (
            "k8s/overlays/lab/host.yaml",
            "imagePullPolicy",
            "imagePulPolicy",
        ),
        (
            "k8s/overlays/lab/gateways.yaml",
            "addressType: IPv4",
            "addressType: IPv4\nports2: []",
        ),
        (LAB, "newTag", "newTags"),
    ];
    for (path, old, new) in cases {
        let found = broken(path, old, new);
        let is_named = |problem: &String| {
            problem.starts_with(path) && problem.contains("there is no such field")
        };
        assert!(found.iter().any(is_named), "{new} in {path}: {found:#?}");
    }
}

#[test]
fn a_value_of_a_wrong_type_is_noticed_with_its_path() {
    noticed(
        DEPLOYMENT,
        "replicas: 2",
        "replicas: two",
        "Deployment wharf: spec.replicas: must be integer, not string",
    );
    noticed(
        DEPLOYMENT,
        "value: json",
        "value: 1",
        "spec.template.spec.containers[0].env[4].value: must be string, not integer",
    );
    noticed(
        "k8s/overlays/lab/host.yaml",
        "imagePullPolicy: Never",
        "imagePullPolicy: never",
        "`never` is none of",
    );
    noticed(
        "k8s/base/service.yaml",
        "port: 8080",
        "port: \"8080\"",
        "spec.ports[0].port: must be integer",
    );
}

#[test]
fn what_is_required_and_missing_is_noticed() {
    noticed(
        "k8s/overlays/lab/gateways.yaml",
        "addressType: IPv4\n",
        "",
        "`addressType` is missing",
    );
}

#[test]
fn a_grace_that_ends_before_the_drain_does_is_noticed_from_either_side() {
    let killed = "it would be killed";
    noticed(
        DEPLOYMENT,
        "GracePeriodSeconds: 40",
        "GracePeriodSeconds: 30",
        killed,
    );
    noticed(
        DEPLOYMENT,
        "      terminationGracePeriodSeconds: 40\n",
        "",
        killed,
    );
    noticed(CONFIG, "drain = \"25s\"", "drain = \"40s\"", killed);
    let before = "name: host\n          lifecycle: {preStop: {sleep: {seconds: 10}}}";
    noticed(DEPLOYMENT, "name: host", before, killed);
    noticed(
        "k8s/overlays/lab/host.yaml",
        "    spec:\n",
        "    spec:\n      terminationGracePeriodSeconds: 5\n",
        killed,
    );
}

#[test]
fn a_probe_that_nobody_answers_is_noticed() {
    noticed(
        DEPLOYMENT,
        "path: /ready",
        "path: /readyz",
        "asks /readyz, which a host does not answer",
    );
    let restarts = "livenessProbe:\n            httpGet:\n              path: /health";
    noticed(
        DEPLOYMENT,
        restarts,
        &restarts.replace("health", "ready"),
        "/health is what it is for",
    );
    let port = "path: /ready\n              port: http";
    noticed(
        DEPLOYMENT,
        port,
        "path: /ready\n              port: web",
        "a port that the container does not name",
    );
    noticed(
        CONFIG,
        "0.0.0.0:8080",
        "0.0.0.0:9090",
        "the host listens on 9090",
    );
    noticed(
        CONFIG,
        "0.0.0.0:8080",
        "127.0.0.1:8080",
        "which nobody outside the pod reaches",
    );
}

#[test]
fn a_file_that_the_host_would_refuse_is_noticed_with_its_line() {
    noticed(CONFIG, "drain =", "drane =", "k8s/base/wharf.toml:10: ");
    let needs = "k8s/overlays/lab/needs.toml";
    noticed(
        needs,
        "url = \"http://gateways:8090\"",
        "url = \"gateways\"",
        "k8s/overlays/lab/needs.toml:3: ",
    );
    noticed(
        DEPLOYMENT,
        "value: /etc/wharf/needs.toml",
        "value: /etc/wharf/need.toml",
        "no config map is mounted there",
    );
    noticed(
        DEPLOYMENT,
        "name: wharf-config",
        "name: wharf-conf",
        "no config map",
    );
}

#[test]
fn an_image_that_is_not_pinned_or_of_another_version_is_noticed() {
    noticed(
        DEPLOYMENT,
        "image: wharf:0.1.0",
        "image: wharf:0.0.9",
        "is not of this version",
    );
    noticed(
        "k8s/overlays/lab/nats.yaml",
        "image: nats:2.15.1",
        "image: nats",
        "`nats` is not pinned",
    );
    noticed(
        LAB,
        "newTag: \"1\"",
        "newTag: latest",
        "`lab.local/wharf:latest` is not pinned",
    );
}

#[test]
fn a_pod_with_rights_that_it_does_not_need_is_noticed() {
    noticed(
        DEPLOYMENT,
        "runAsNonRoot: true",
        "runAsNonRoot: false",
        "runAsNonRoot: true",
    );
    noticed(
        DEPLOYMENT,
        "allowPrivilegeEscalation: false",
        "allowPrivilegeEscalation: true",
        "allowPrivilegeEscalation",
    );
    noticed(
        DEPLOYMENT,
        "drop: [\"ALL\"]",
        "drop: [\"KILL\"]",
        "capabilities.drop: [ALL]",
    );
    noticed(
        DEPLOYMENT,
        "type: RuntimeDefault",
        "type: Unconfined",
        "seccompProfile.type: RuntimeDefault",
    );
    noticed(
        DEPLOYMENT,
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        "readOnlyRootFilesystem",
    );
    noticed(
        DEPLOYMENT,
        "enableServiceLinks: false",
        "enableServiceLinks: true",
        "enableServiceLinks: false",
    );
}

#[test]
fn a_cache_that_the_host_would_refuse_is_noticed() {
    let cache = "/var/cache/wharf/components";
    noticed(
        DEPLOYMENT,
        cache,
        "/var/cache/wharf",
        "must be below the mount of an emptyDir",
    );
    noticed(
        DEPLOYMENT,
        cache,
        "/tmp/components",
        "must be below the mount of an emptyDir",
    );
    noticed(
        DEPLOYMENT,
        cache,
        "/etc/wharf/components",
        "must be below the mount of an emptyDir",
    );
}

#[test]
fn selectors_and_ports_that_lead_nowhere_are_noticed() {
    let label = "app.kubernetes.io/name: wharf";
    let selector = format!("selector:\n    {label}");
    noticed(
        "k8s/base/service.yaml",
        &selector,
        "selector:\n    app: wharf",
        "selects no pod",
    );
    let selector = format!("matchLabels:\n      {label}");
    noticed(
        "k8s/base/poddisruptionbudget.yaml",
        &selector,
        "matchLabels:\n      app: x",
        "selects no pod",
    );
    noticed(
        "k8s/base/service.yaml",
        "targetPort: http",
        "targetPort: web",
        "wharf has no such port",
    );
    noticed(
        "k8s/base/networkpolicy.yaml",
        "port: 8080",
        "port: 80",
        "lets nobody reach port 8080",
    );
    noticed(
        DEPLOYMENT,
        "maxUnavailable: 0",
        "maxUnavailable: 1",
        "must say maxUnavailable: 0",
    );
}
