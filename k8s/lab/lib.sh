# shellcheck shell=bash disable=SC2034
# What the lab's programs share: where things are, and how the namespace and the
# API server are reached. Sourced by them.

lab=${K8S_LAB_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/k8s-lab}
bin=$lab/bin run=$lab/run
netns=k8slab
node_ip=10.201.0.1 pod_net=10.202.0.0/24 svc_net=10.203.0.0/24 dns_ip=10.203.0.10
k8s_version=v1.34.1 coredns_version=v1.12.4

say() { printf 'k8s-lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Not `ip netns exec`, which mounts another /sys and hides the cgroups.
in_lab() { nsenter --net="/run/netns/$netns" -- "$@"; }
kubectl() { in_lab "$bin/kubectl" --kubeconfig "$run/admin.conf" "$@"; }
ctr() { command ctr --address "$run/containerd.sock" --namespace k8s.io "$@"; }

is_up() { [ -e "/run/netns/$netns" ] && [ -e "$run/admin.conf" ]; }
