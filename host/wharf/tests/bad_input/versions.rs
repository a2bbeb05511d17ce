//! Versions that are not fit to run, or fault on everything, in the registry.

use wharf_core::deployment::{Deployment, Digest};
use wharf_core::report::HandlerReport;
use wharf_jetstream::registry::{CODE_STORE, hash};

use crate::bundles::{self, Bundle};
use crate::event::Raw;
use crate::stage::{Stage, for_teller, keep, kept, teller};
use crate::support::rollout::{AUTHOR, Rollout, marked};
use crate::support::{SOON, until};
use crate::unordered::told;
use crate::{ALONE, loading, watch};

/// The host says why, with the code, and the version before goes on.
async fn assert_refused(stage: &mut Stage, state: &HandlerReport, code: &str, nth: usize) {
    let refused = state.refused.as_ref().expect("it is refused");
    assert_eq!(refused.code, code, "{}", refused.message);
    let running = state.running.as_ref().expect("the version before runs");
    assert_eq!(running.version, 1);
    let ledger = stage.site.ledger("keep").await;
    let sequence = stage.wire.publish(&kept("k", &nth.to_string(), "x"));
    watch::settled(&ledger, sequence).await;
    assert_eq!(watch::text(&ledger, "k").await, "x".repeat(nth));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfit_version_is_refused_with_its_code_and_the_one_before_goes_on() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let rollout = Rollout::of(&stage.site).await;
    let cases = loading::cases();
    for (nth, (what, wasm, code, _)) in (1..).zip(&cases) {
        println!("{what}");
        let revision = rollout.deploy("keep", wasm).await;
        let state = rollout.followed("keep", revision).await;
        assert_refused(&mut stage, &state, code, nth).await;
    }
    // An object that is not there, and one that is another.
    let absent = rollout.switch("keep", Digest([7; 32])).await;
    let state = rollout.followed("keep", absent).await;
    assert_refused(&mut stage, &state, "WH1002", cases.len() + 1).await;
    let named = hash(b"what was built");
    let context = async_nats::jetstream::new(stage.site.client().await);
    let store = context.get_object_store(CODE_STORE).await.expect("a store");
    let mut forged: &[u8] = b"what was not built";
    store
        .put(named.to_string().as_str(), &mut forged)
        .await
        .expect("put");
    let revision = rollout.switch("keep", named).await;
    let state = rollout.followed("keep", revision).await;
    assert_refused(&mut stage, &state, "WH1003", cases.len() + 2).await;

    // A good one ends it.
    let good = marked(bundles::appender(), "good");
    let revision = rollout.deploy("keep", &good).await;
    let state = rollout.followed("keep", revision).await;
    assert_eq!(state.refused, None);
    let (deployment, _) = rollout.deployment("keep").await;
    let running = state.running.expect("it runs").version;
    assert_eq!(running, deployment.stable);
    stage.host.require_running().expect("the host is alive");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_ends_on_the_version_that_it_began_on() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("effect-once")]).await;
    let rollout = Rollout::of(&stage.site).await;
    let ledger = stage.site.ledger("teller").await;
    let (before, _) = rollout.deployment("teller").await;
    let last = stage.wire.publish(&for_teller("slow", "1", 0, 3_000));
    until("the attempt", SOON, async || {
        let samples = watch::metrics(&stage.host).await;
        let state = [("handler", "teller"), ("state", "in-flight")];
        (samples.count("wharf_unsettled", &state) == 1).then_some(())
    })
    .await;
    let revision = rollout
        .deploy("teller", &marked(bundles::adversary(), "two"))
        .await;
    let state = rollout.followed("teller", revision).await;
    assert_eq!(state.running.expect("it runs").version, 2);
    let quick = stage.wire.publish(&for_teller("quick", "2", 0, 0));
    assert_eq!(told(&stage, "quick", 1).await, ["2 1 true"]);
    watch::settled(&ledger, quick.max(last)).await;
    assert_eq!(told(&stage, "slow", 1).await, ["1 1 true"]);
    let (after, _) = rollout.deployment("teller").await;
    let digest = |version: Digest| version.0.to_vec();
    let mut digests: Vec<Vec<u8>> = Vec::new();
    for record in ledger.records().await {
        digests.push(record.digest);
    }
    digests.sort();
    let mut wanted = vec![
        digest(before.in_use().component),
        digest(after.in_use().component),
    ];
    wanted.sort();
    assert_eq!(digests, wanted);

    // A host that starts with the folder of the first undoes nothing.
    stage.host.term(SOON).await.expect("it drains");
    stage.host = stage.site.host().await;
    let state = rollout.followed("teller", revision).await;
    assert_eq!(state.running.expect("it runs").version, 2);
}

const EVENTS: usize = 60;

/// An event that one guest keeps and another traps on.
fn fatal(nth: usize) -> Raw {
    let key = format!("k{nth}");
    Raw::event(&format!("test.keep.{key}"), &format!("{nth}"), "trap", "x")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_faults_on_everything_is_paused_and_empties_no_stream() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[listening()]).await;
    let rollout = Rollout::of(&stage.site).await;
    let ledger = stage.site.ledger("keep").await;
    let revision = rollout.deploy("keep", bundles::adversary()).await;
    rollout.followed("keep", revision).await;
    let mut last = 0;
    for nth in 0..EVENTS {
        last = stage.wire.publish(&fatal(nth));
    }
    let paused = until("the guard", SOON, async || {
        let (deployment, revision) = rollout.deployment("keep").await;
        deployment.paused.map(|pause| (pause, revision))
    })
    .await;
    let (pause, revision) = paused;
    assert_eq!((pause.by.as_str(), pause.version), ("guard", Some(2)));
    assert!(pause.why.contains("10 distinct events"), "{}", pause.why);
    let state = rollout.followed("keep", revision).await;
    assert!(state.paused && state.running.is_none(), "{state:?}");
    assert_eq!(ledger.entries().await, [], "dead letters");

    // The way back, by its command: every event is handled, once.
    let said = stage
        .site
        .operate(&["rollback", "keep", "--wait", "-m", "it traps"])
        .await;
    assert!(said.contains("runs version 1"), "{said}");
    watch::settled(&ledger, last).await;
    for nth in 0..EVENTS {
        assert_eq!(watch::text(&ledger, &format!("k{nth}")).await, "x");
    }
    assert_eq!(ledger.entries().await, [], "dead letters");
    let said = stage.site.operate(&["versions", "keep"]).await;
    assert!(said.contains("it traps"), "{said}");
}

/// As [`keep`], but for the events' type, and with time between attempts.
fn listening() -> Bundle {
    let manifest = r#"stream = "TEST"
start = "all"

[[on]]
subjects = ["test.keep.{id}"]
key = "{id}"
types = ["trap"]

[state]
content_type = "text/plain"

[retry]
initial = "2s"
cap = "5s"
guest_faults = 3
"#;
    Bundle::new("keep", manifest, bundles::appender())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_handler_leaves_its_events_in_the_stream_until_it_is_resumed() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let ledger = stage.site.ledger("keep").await;
    let first = stage.wire.publish(&kept("k", "1", "a"));
    watch::settled(&ledger, first).await;
    let said = stage
        .site
        .operate(&["pause", "keep", "--wait", "-m", "the bank is closed"])
        .await;
    assert!(said.contains("the bank is closed"), "{said}");
    let last = stage.wire.publish(&kept("k", "2", "b"));
    // It outlasts a restart.
    stage.host.term(SOON).await.expect("it drains");
    stage.host = stage.site.host().await;
    let status = stage.site.operate(&["status"]).await;
    assert!(status.contains("paused by"), "{status}");
    let samples = watch::metrics(&stage.host).await;
    let paused = [("handler", "keep"), ("state", "paused")];
    assert_eq!(samples.count("wharf_unsettled", &paused), 1);
    assert_eq!(watch::text(&ledger, "k").await, "a");
    stage.site.operate(&["resume", "keep", "--wait"]).await;
    watch::settled(&ledger, last).await;
    assert_eq!(watch::text(&ledger, "k").await, "ab");
}

/// A handler that nobody has told where its need is.
fn needy() -> Bundle {
    let manifest = r#"stream = "TEST"
start = "all"

[[on]]
subjects = ["test.needy.{id}"]
key = "{id}"

[state]

[needs.elsewhere]
timeout = "2s"
"#;
    Bundle::new("needy", manifest, bundles::appender())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_deployed_to_a_running_host_waits_for_the_address_of_its_need() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let rollout = Rollout::of(&stage.site).await;
    let folder = bundles::folder(&[needy()]);
    let path = folder.path().to_str().expect("UTF-8");
    let first = stage
        .wire
        .publish(&Raw::event("test.needy.k", "1", "any", "a"));
    stage.site.operate(&["deploy", path]).await;
    let state = rollout.followed("needy", 1).await;
    let refused = state.refused.expect("nobody says where it is");
    assert_eq!(refused.code, "WH0503", "{}", refused.message);

    let set = ["needs", "set", "elsewhere", "--url", "http://127.0.0.1:1"];
    stage.site.operate(&set).await;
    let ledger = stage.site.ledger("needy").await;
    watch::settled(&ledger, first).await;
    assert_eq!(watch::text(&ledger, "k").await, "a");
    let state = rollout.followed("needy", 1).await;
    assert_eq!(
        (state.refused, state.running.map(|r| r.version)),
        (None, Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_ran_before_a_refused_version_an_earlier_one_takes_its_place() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let rollout = Rollout::of(&stage.site).await;
    let revision = rollout.deploy("keep", b"not a component").await;
    rollout.followed("keep", revision).await;
    stage.host.term(SOON).await.expect("it drains");
    stage.host = stage.site.host().await;
    let state = rollout.followed("keep", revision).await;
    assert_refused(&mut stage, &state, "WH0402", 1).await;
    // So it is after a pause.
    stage.site.operate(&["pause", "keep", "--wait"]).await;
    stage.site.operate(&["resume", "keep"]).await;
    let (_, revision) = rollout.deployment("keep").await;
    let state = rollout.followed("keep", revision).await;
    assert_refused(&mut stage, &state, "WH0402", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_is_deleted_and_deployed_again_waits_for_what_still_runs() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[teller("effect-once")]).await;
    let rollout = Rollout::of(&stage.site).await;
    let slow = stage.wire.publish(&for_teller("slow", "1", 0, 3_000));
    until("the attempt", SOON, async || {
        let samples = watch::metrics(&stage.host).await;
        let state = [("handler", "teller"), ("state", "in-flight")];
        (samples.count("wharf_unsettled", &state) == 1).then_some(())
    })
    .await;
    let jetstream = async_nats::jetstream::new(stage.site.client().await);
    let bucket = jetstream.get_key_value("WHARF").await.expect("a bucket");
    bucket.delete("handler.teller").await.expect("deleted");
    let bundles = stage.site.options.handlers.clone().expect("bundles");
    let path = bundles.to_str().expect("UTF-8");
    stage.site.operate(&["deploy", path, "--wait"]).await;
    let (_, revision) = rollout.deployment("teller").await;
    let state = rollout.followed("teller", revision).await;
    assert_eq!(state.running.expect("it runs").version, 1);
    let quick = stage.wire.publish(&for_teller("quick", "2", 0, 0));
    let ledger = stage.site.ledger("teller").await;
    watch::settled(&ledger, quick.max(slow)).await;
    // Each once, on its first try: two that work side by side would tell otherwise.
    assert_eq!(told(&stage, "slow", 1).await, ["1 1 true"]);
    let quick = told(&stage, "quick", 1).await;
    assert!(
        quick.len() == 1 && quick[0].starts_with("2 1 "),
        "{quick:?}"
    );
    let log = stage.site.host_log();
    let started = log.matches("\"message\":\"started\"").count();
    assert_eq!(started, 2, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interleaving_31_only_the_version_in_use_changes_what_a_handler_subscribes_to() {
    let _alone = ALONE.lock().await;
    let mut stage = Stage::set(&[keep()]).await;
    let rollout = Rollout::of(&stage.site).await;
    let ledger = stage.site.ledger("keep").await;
    let first = ledger.checkpoint().await;
    // Past the command, so that nothing is checked before a host does.
    let path = stage.site.options.handlers.as_ref().expect("bundles");
    let manifest = std::fs::read_to_string(path.join("keep/handler.toml")).expect("a manifest");
    let wider = manifest.replace(
        "\"test.keep.{id}\"",
        "\"test.keep.{id}\", \"test.more.{id}\"",
    );
    assert_ne!(wider, manifest);
    let wider = rollout.registry.put_object(&wider.into()).await;
    let wider = wider.expect("put");
    let with = |component: Option<Digest>| {
        move |before: &Deployment| {
            let first = before.version(1).expect("the first").component;
            let component = component.unwrap_or(first);
            let next = before.deployed(component, wider, AUTHOR);
            next.expect("another version")
        }
    };
    // A host that refuses it goes on with the one before, and its subscription.
    let revision = rollout.change("keep", with(Some(Digest([7; 32])))).await;
    let state = rollout.followed("keep", revision).await;
    assert_refused(&mut stage, &state, "WH1002", 1).await;
    assert_eq!(ledger.checkpoint().await.generation, first.generation);

    let revision = rollout.change("keep", with(None)).await;
    let state = rollout.followed("keep", revision).await;
    assert_eq!(state.refused, None);
    let changed = until("the subscription to change", SOON, async || {
        let now = ledger.checkpoint().await;
        (now.generation != first.generation && !now.released).then_some(now)
    })
    .await;
    assert_eq!(changed.revision, revision);
    let more = Raw::event("test.more.k", "more", "kept", "y");
    let last = stage.wire.publish(&more);
    watch::settled(&ledger, last).await;
    assert_eq!(watch::text(&ledger, "k").await, "xy");

    // Where the one in use cannot be run, the one before it is of the old
    // subscription: it may not own what is of the new.
    let revision = rollout.switch("keep", Digest([7; 32])).await;
    stage.host.kill().await.expect("SIGKILL is sent");
    stage.host = stage.site.host().await;
    let state = rollout.followed("keep", revision).await;
    assert_eq!(state.refused.expect("it is refused").code, "WH1002");
    assert_eq!(state.running, None, "nothing may take its place");
    let log = stage.site.host_log();
    assert!(log.contains("WH0306"), "{log}");
    assert_eq!(ledger.checkpoint().await.generation, changed.generation);
}
