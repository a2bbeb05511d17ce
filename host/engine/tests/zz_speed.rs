mod support;
use std::sync::Arc;
use std::time::Instant;
use support::*;
use wharf_engine::*;
#[tokio::test]
async fn speed() {
    for (name, wasm, policy) in [
        (
            "plain fresh",
            plain(),
            wharf_core::manifest::InstancePolicy::Fresh,
        ),
        (
            "adversary echo fresh",
            adversary(),
            wharf_core::manifest::InstancePolicy::Fresh,
        ),
        (
            "plain reuse",
            plain(),
            wharf_core::manifest::InstancePolicy::Reuse,
        ),
    ] {
        let mut s = settings();
        s.instance = policy;
        let bench = Bench::with(wasm, s).await.unwrap();
        eprintln!("{:?}", bench.runtime.allocator());
        let ev = Arc::new(event("echo"));
        let data = [b'x'; 200];
        let lineage: Arc<str> = "a".into();
        let tp: Arc<str> = TRACEPARENT.into();
        for round in 0..3 {
            let n = 20_000u32;
            let t = Instant::now(); let c0 = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let mut cpu = std::time::Duration::ZERO;
            for _ in 0..n {
                let r = bench
                    .runtime
                    .invoke(
                        &bench.component,
                        Attempt {
                            event: ev.clone(),
                            data: &data,
                            state: Some(State {
                                bytes: b"0123456789012345678901234567890123456789",
                                version: 1,
                            }),
                            lineage: lineage.clone(),
                            traceparent: Some(tp.clone()),
                            cancel: Default::default(),
                        },
                    )
                    .await;
                cpu += r.cpu;
            }
            eprintln!(
                "{name} {round}: {:?}/invoke cpu {:?}",
                t.elapsed() / n,
                cpu / n
            );
        }
    }
}
