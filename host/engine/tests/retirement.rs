//! A version that was replaced gives its machine code back. In a program of its
//! own: it counts the mappings of the process.

mod support;

use std::sync::Arc;

use support::{Bench, plain, put_text, runtime, settings};
use wharf_engine::{Component, Runtime};

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .expect("this is Linux")
        .lines()
        .count()
}

#[tokio::test]
async fn a_hundred_swaps_leave_no_machine_code_behind() {
    let runtime = runtime();
    let mut bench = Bench {
        component: load(&runtime).await,
        runtime,
    };
    let before = mappings();
    for _ in 0..100 {
        bench.component = load(&bench.runtime).await;
        assert_eq!(put_text(bench.run("any", "data").await), "data");
    }
    let after = mappings();
    assert!(after < before + 50, "{before} mappings became {after}");
}

async fn load(runtime: &Runtime) -> Arc<Component> {
    runtime.load(plain(), settings()).await.expect("loads")
}
