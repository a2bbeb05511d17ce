//! A component that is not fit to run is refused before it sees an event, with
//! a reason of its own, and the one that runs goes on running.

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use support::{Bench, adversary, plain, put_text, settings};
use wharf_core::outcome::GuestFaultKind;
use wharf_engine::{LoadError, Runtime, RuntimeConfig, Settings};

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("well-formed text")
}

/// Tries to load beside a component that runs, and sees that it still does.
async fn refusal(wasm: Vec<u8>, settings: Settings) -> LoadError {
    let bench = Bench::new(support::settings()).await;
    let refusal = bench
        .runtime
        .load(wasm, settings)
        .await
        .expect_err("must be refused");
    assert!(!refusal.remedy().is_empty());
    bench.is_unharmed().await;
    refusal
}

/// A component whose handler is fine but for `module`, its core module.
fn with_handler(module: &str) -> Vec<u8> {
    wat(&format!(
        r#"(component
            (core module $m {module} (func (export "handle")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "handle")))
            (instance $h (export "handle" (func $f)))
            (export "wharf:handler/handler@0.1.0" (instance $h)))"#
    ))
}

fn start_fault(refusal: LoadError) -> GuestFaultKind {
    match refusal {
        LoadError::Start { fault } => fault.kind,
        other => panic!("not refused at its start: {other:?}"),
    }
}

#[tokio::test]
async fn bytes_that_are_no_webassembly_are_refused() {
    for bytes in [
        Vec::new(),
        b"\0as".to_vec(),
        b"#!/bin/sh".to_vec(),
        vec![0xff; 1000],
    ] {
        assert_eq!(refusal(bytes, settings()).await, LoadError::NotWasm);
    }
}

#[tokio::test]
async fn a_damaged_component_is_refused() {
    let good = adversary();
    let cut = good[..good.len() / 2].to_vec();
    let mut flipped = good.to_vec();
    for byte in &mut flipped[200..260] {
        *byte ^= 0xff;
    }
    for bytes in [cut, flipped, b"\0asm\x0d\0\x01\0garbage".to_vec()] {
        let refused = refusal(bytes, settings()).await;
        assert!(matches!(refused, LoadError::Invalid { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn a_core_module_is_refused_as_one() {
    assert_eq!(
        refusal(wat("(module)"), settings()).await,
        LoadError::CoreModule
    );
}

#[tokio::test]
async fn a_component_of_another_world_is_refused_with_what_it_exports() {
    let other = wat(r#"(component
            (instance $i)
            (export "wasi:cli/run@0.2.0" (instance $i)))"#);
    let refused = refusal(other, settings()).await;
    let LoadError::MissingExport { wanted, exports } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*wanted, "wharf:handler/handler@0.1.0");
    assert_eq!(*exports, ["wasi:cli/run@0.2.0"]);
}

#[tokio::test]
async fn imports_that_no_host_has_are_all_named() {
    let greedy = wat(r#"(component
            (import "wasi:io/poll@0.2.0" (instance))
            (import "other:thing/x" (instance (export "f" (func))))
            (import "wasi:http/outgoing-handler@0.2.0" (instance (export "g" (func)))))"#);
    let names = ["other:thing/x", "wasi:http/outgoing-handler@0.2.0"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        refusal(greedy, settings()).await,
        LoadError::UnknownImports { names }
    );
}

#[tokio::test]
async fn an_import_of_another_shape_is_refused_by_name() {
    let other = wat(r#"(component
            (import "wharf:handler/config@0.1.0"
                (instance (export "get" (func (param "name" u32))))))"#);
    let refused = refusal(other, settings()).await;
    let LoadError::ImportShape { detail } = &refused else {
        panic!("{refused:?}")
    };
    assert!(detail.contains("wharf:handler/config@0.1.0"), "{detail}");
}

#[tokio::test]
async fn a_handler_of_another_shape_is_refused() {
    let refused = refusal(with_handler(""), settings()).await;
    assert!(
        matches!(refused, LoadError::ExportShape { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_component_that_fails_when_it_is_started_is_refused() {
    let trap = with_handler("(func $s unreachable) (start $s)");
    assert_eq!(
        start_fault(refusal(trap, settings()).await),
        GuestFaultKind::Trap
    );

    let mut short = settings();
    short.limits.cpu_time = Duration::from_millis(50);
    let spin = with_handler("(func $s (loop $l (br $l))) (start $s)");
    assert_eq!(
        start_fault(refusal(spin, short).await),
        GuestFaultKind::CpuTime
    );

    // 2,000 pages of 64 KiB at once; the limit is 64 MiB.
    let memory = with_handler("(memory 2000)");
    assert_eq!(
        start_fault(refusal(memory, settings()).await),
        GuestFaultKind::Memory
    );
}

#[tokio::test]
async fn memories_of_one_component_are_added_up() {
    let halves = "(memory 700)";
    let both = wat(&format!(
        r#"(component
            (core module $a {halves})
            (core module $m {halves} (func (export "handle")))
            (core instance (instantiate $a))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "handle")))
            (instance $h (export "handle" (func $f)))
            (export "wharf:handler/handler@0.1.0" (instance $h)))"#
    ));
    assert_eq!(
        start_fault(refusal(both, settings()).await),
        GuestFaultKind::Memory
    );
}

#[tokio::test]
async fn what_is_larger_than_the_host_allows_is_refused() {
    let config = RuntimeConfig {
        max_instances: 1,
        max_warm: 0,
        max_warm_bytes: 0,
        max_component_bytes: 1000,
        max_memory_bytes: 32 << 20,
        cache_dir: None,
    };
    let runtime = Runtime::new(config).expect("starts");
    let mut fits = settings();
    fits.limits.memory_bytes = 32 << 20;
    let refused = runtime.load(plain(), fits).await.expect_err("too large");
    assert_eq!(
        refused,
        LoadError::TooLarge {
            bytes: plain().len() as u64,
            max: 1000
        }
    );
    let refused = runtime
        .load(plain(), settings())
        .await
        .expect_err("too much memory");
    assert_eq!(
        refused,
        LoadError::MemoryLimit {
            asked: 64 << 20,
            max: 32 << 20
        }
    );
}

#[tokio::test]
async fn a_digest_is_the_hash_of_the_bytes() {
    let bench = Bench::with(plain(), settings()).await.expect("loads");
    assert_eq!(
        bench.component.digest().as_slice(),
        Sha256::digest(plain()).as_slice()
    );
    assert_eq!(put_text(bench.run("any", "data").await), "data");
}

/// Loads `plain` in a runtime of its own, which keeps compiled code here.
async fn load_with_cache(directory: &Path) {
    let cache_dir = Some(directory.to_owned());
    let config = RuntimeConfig {
        max_instances: 1,
        max_warm: 0,
        cache_dir,
        ..RuntimeConfig::default()
    };
    let runtime = Runtime::new(config).expect("starts");
    let component = runtime.load(plain(), settings()).await.expect("loads");
    let bench = Bench { runtime, component };
    assert_eq!(put_text(bench.run("any", "data").await), "data");
}

/// Tells one writing of a file from another.
fn identity(directory: &Path) -> (std::path::PathBuf, u64, i64) {
    let mut files = std::fs::read_dir(directory).expect("a directory");
    let path = files.next().expect("one file").expect("readable").path();
    assert!(files.next().is_none(), "more than one file");
    let meta = std::fs::metadata(&path).expect("readable");
    (path, meta.ino(), meta.mtime_nsec())
}

#[tokio::test]
async fn a_component_is_compiled_once_for_all_starts_of_a_host() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    load_with_cache(directory.path()).await;
    let first = identity(directory.path());
    load_with_cache(directory.path()).await;
    assert_eq!(
        identity(directory.path()),
        first,
        "written again, so it was compiled again"
    );
}

#[tokio::test]
async fn damaged_compiled_code_is_replaced_and_never_run() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    load_with_cache(directory.path()).await;
    let first = identity(directory.path());
    let mut code = std::fs::read(&first.0).expect("readable");
    let middle = code.len() / 2;
    code[middle] ^= 1;
    std::fs::remove_file(&first.0).expect("ours");
    std::fs::write(&first.0, code).expect("ours");
    load_with_cache(directory.path()).await;
    assert_ne!(identity(directory.path()), first);
}
