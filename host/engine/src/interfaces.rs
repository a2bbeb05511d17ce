//! The interfaces that this host has, to name all those that it has not.
//!
//! The linker alone decides whether a component loads, but it names only the
//! first import that it cannot satisfy. This list turns that into all names.

/// The contract, with the version track in which names are compatible.
const CONTRACT: (&str, &str) = ("wharf:handler", "0.1");
const CONTRACT_INTERFACES: [&str; 5] = ["types", "config", "log", "metrics", "http"];

const WASI_TRACK: &str = "0.2";
const WASI: [(&str, &[&str]); 6] = [
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:random", &["insecure", "insecure-seed", "random"]),
    ("wasi:filesystem", &["preopens", "types"]),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    (
        "wasi:sockets",
        &[
            "instance-network",
            "ip-name-lookup",
            "network",
            "tcp",
            "tcp-create-socket",
            "udp",
            "udp-create-socket",
        ],
    ),
];

/// Of the names that a component imports, those that no interface of this host
/// answers to.
pub(crate) fn unknown<'a>(imports: impl Iterator<Item = &'a str>) -> Vec<String> {
    imports
        .filter(|import| !is_known(import))
        .map(str::to_owned)
        .collect()
}

fn is_known(import: &str) -> bool {
    let Some((name, version)) = import.split_once('@') else {
        return false;
    };
    let Some((package, interface)) = name.split_once('/') else {
        return false;
    };
    if package == CONTRACT.0 {
        return on_track(version, CONTRACT.1) && CONTRACT_INTERFACES.contains(&interface);
    }
    let known = WASI.iter().find(|(known, _)| *known == package);
    on_track(version, WASI_TRACK) && known.is_some_and(|(_, names)| names.contains(&interface))
}

/// Below 1.0 the second number is the incompatible one; a pre-release is
/// compatible with nothing.
fn on_track(version: &str, track: &str) -> bool {
    version
        .strip_prefix(track)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmtime::Engine;
    use wasmtime::component::Linker;

    #[test]
    fn the_names_that_no_host_has_are_all_listed() {
        let imports = [
            "wasi:cli/stdout@0.2.3",
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:cli/stdout@0.3.0",
            "wasi:io/poll@0.2.0-rc-2023-11-10",
            "wharf:handler/log@0.1.7",
            "wharf:handler/log@0.2.0",
            "other:thing/x",
            "plain",
        ];
        let expected = [
            imports[1], imports[2], imports[3], imports[5], imports[6], imports[7],
        ];
        assert_eq!(unknown(imports.into_iter()), expected);
    }

    #[test]
    fn every_listed_interface_is_in_the_linker() {
        let engine = Engine::default();
        let mut linker = Linker::new(&engine);
        crate::guest::link(&mut linker).expect("links");
        let contract = CONTRACT_INTERFACES
            .iter()
            // Only types: there is nothing to link.
            .filter(|interface| **interface != "types")
            .map(|interface| (format!("{}/{interface}", CONTRACT.0), CONTRACT.1));
        let wasi = WASI.iter().flat_map(|(package, interfaces)| {
            interfaces
                .iter()
                .map(move |name| (format!("{package}/{name}"), WASI_TRACK))
        });
        // Defining a name again fails: that is how a linker is asked.
        let mut is_taken = |name: &str| linker.root().func_wrap(name, |_, (): ()| Ok(())).is_err();
        for (name, track) in contract.chain(wasi) {
            let taken = (0..100).any(|patch| is_taken(&format!("{name}@{track}.{patch}")));
            assert!(taken, "{name} is not in the linker");
        }
        assert!(!is_taken("wasi:http/types@0.2.0"));
    }
}
