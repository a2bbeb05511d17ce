# Every task of the project. Run them through ./just, which brings the tools.
#
# Builds and tests always span the whole workspace and use one profile, so that
# every dependency (wasmtime above all) is compiled once and shared by all.

set positional-arguments

target := absolute_path(env("CARGO_TARGET_DIR", "target"))
wharf := target / "debug/wharf"

export WHARF_BUNDLES := target / "bundles"

# List the recipes
default:
    @"{{ just_executable() }}" --list --unsorted

# Build everything, then run the shop end to end and print its conservation report (try `demo --help`)
[no-exit-message]
demo *args: build handlers
    @exec "{{ wharf }}" demo --handlers "$WHARF_BUNDLES" "$@"

# Everything that must hold before a commit: format, lints, units, bundles, end-to-end tests
test: lint handlers rotel (guests "--where-possible")
    cargo test --workspace

# Build the host, the tools and the native side of the handlers
build:
    cargo build --workspace

# Build every handler for WebAssembly and write its bundle to target/bundles/<name>/
handlers:
    @tools/bundles "{{ target }}"
    @tools/bundles "{{ target }}" bench bench-bundles

# Measure what Wharf costs beside the same work by hand, about a quarter of an hour (try `bench --help`)
[no-exit-message]
bench *args: handlers
    @CARGO_PROFILE_DEV_OPT_LEVEL=3 CARGO_PROFILE_DEV_DEBUG_ASSERTIONS=false CARGO_PROFILE_DEV_OVERFLOW_CHECKS=false \
        CARGO_PROFILE_DEV_INCREMENTAL=false cargo build --workspace
    @exec "{{ target / "debug/bench" }}" "$@"

# Build the handlers in Python and JavaScript to target/bundles-guests/<name>/ (needs Python, Node.js and a network)
guests *args:
    @tools/guests {{ args }} "{{ target }}"

# Run a host on the handlers of this checkout (`host --help` lists the flags)
[no-exit-message]
host *args: build handlers
    @exec "{{ wharf }}" host --handlers "$WHARF_BUNDLES" "$@"

# Run any command of the binary, from the folder where you stand
[no-cd, no-exit-message]
wharf *args: build
    @exec "{{ wharf }}" "$@"

# Verify the audit chains of a file of `audit.appended` events (`audit-verify --help` says how)
[no-cd, no-exit-message]
audit-verify *args: build
    @exec "{{ target / "debug/audit-verify" }}" "$@"

# Build the host's image, static and FROM scratch, to target/image/wharf.tar (docs/kubernetes.md)
image *name:
    @tools/image "{{ target }}" "$@"

# Run the lab, a Kubernetes of one node on this machine, as root: up, down, kubectl … (without words: what it can do)
k8s-lab *args:
    @k8s/lab/lab "$@"

# Take the API server's schemas from the running lab into k8s/schemas.json
k8s-schemas:
    @k8s/lab/schemas

# Roll the hosts of a real Kubernetes under load, and see that nothing is lost; skips where it cannot run (`--help`)
k8s-e2e *args:
    @k8s/lab/e2e "{{ target }}" "$@"

# Bring the collector that one test sends spans to, where it can run
rotel:
    @tools/rotel

# Format all Rust code
fmt:
    cargo fmt --all

# Check format and lints; a warning is an error
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Build the documentation of the workspace's crates; a broken link is an error
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Check licences, duplicate and banned crates, and where crates come from (offline)
deny: (cargo-tool "cargo-deny" "0.20.2")
    cargo deny check bans licenses sources

# Check the advisory database as well; needs the network
advisories: (cargo-tool "cargo-deny" "0.20.2")
    cargo deny check advisories

# Build every handler with `cargo component`, to show that it works without our recipes
cargo-component: (cargo-tool "cargo-component" "0.21.1")
    tools/components "{{ target }}/component"

# Install a cargo subcommand into .tools when it is absent
[private]
cargo-tool name version:
    @command -v "{{ name }}" >/dev/null || \
        CARGO_TARGET_DIR="{{ target }}/tools" cargo install --locked --root .tools "{{ name }}" --version "{{ version }}"
