//! What a place needs on a real server: made, found again, refused.

mod common;
mod support;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use common::{Server, connect, plain, settings, store};
use support::{ledger_on, lineage, place};
use wharf_core::manifest::{Ordering, Start};
use wharf_jetstream::api::Api;
use wharf_jetstream::api::consumer::DeliverPolicy;
use wharf_jetstream::assets::{self, Action, Place, Plan, UsesTimers};
use wharf_jetstream::connection::{self, Purpose, Settings};
use wharf_jetstream::ledger::CommitResult;

async fn api(server: &Server) -> Api {
    Api::new(connect(server).await)
}

/// The same place with an unordered handler without timers.
fn unordered() -> Place {
    let mut place = place();
    let handler = &mut place.handlers[0];
    (handler.ordering, handler.timers) = (Ordering::None, UsesTimers::No);
    place
}

fn actions(plan: &Plan) -> Vec<(&str, &Action)> {
    plan.steps
        .iter()
        .map(|step| (step.asset.as_str(), &step.action))
        .collect()
}

/// The fields that differ in one asset.
fn fields(plan: &Plan, asset: &str) -> Vec<&'static str> {
    let step = plan
        .steps
        .iter()
        .find(|step| step.asset == asset)
        .expect("the asset");
    let Action::Differs(differences) = &step.action else {
        panic!("{:?}", step.action)
    };
    differences
        .iter()
        .map(|difference| difference.field)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_made_in_order_and_found_the_second_time() {
    let server = Server::start();
    let api = api(&server).await;
    let mut place = place();
    place.handlers[0].partitions = 2;
    let plan = assets::plan(&api, &place).await.expect("a plan");
    let names = [
        "stream SHOP",
        "stream WHARF-L-order-1",
        "stream WHARF-T-order-1",
        "consumer fire-0 of stream WHARF-T-order-1",
        "consumer fire-1 of stream WHARF-T-order-1",
    ];
    let expected: Vec<_> = names.iter().map(|name| (*name, &Action::Create)).collect();
    assert_eq!(actions(&plan), expected);
    let missing = assets::verify(&api, &place).await.expect("verified");
    assert_eq!(missing.len(), names.len());
    assert!(
        missing
            .iter()
            .all(|problem| problem.remedy.contains("wharf provision"))
    );

    let created = assets::apply(&api, &plan).await.expect("provisioned");
    assert_eq!(created, names);
    let again = assets::plan(&api, &place).await.expect("a plan");
    assert!(again.is_fulfilled(), "{:?}", actions(&again));
    assert_eq!(assets::verify(&api, &place).await.expect("verified"), []);
    assert!(
        assets::apply(&api, &again)
            .await
            .expect("nothing to do")
            .is_empty()
    );
    // Somebody else was quicker: the same shape is no conflict.
    assets::apply(&api, &plan).await.expect("provisioned twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_shape_is_refused_with_its_fields_and_nothing_is_made() {
    let server = Server::start();
    let js = plain(&server).await;
    let config = Config {
        name: "SHOP".into(),
        subjects: vec!["shop.*.*.>".into(), "other".into()],
        storage: StorageType::Memory,
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 5,
        max_age: std::time::Duration::from_secs(60),
        ..Config::default()
    };
    js.create_stream(config).await.expect("a stream");
    let api = api(&server).await;
    let plan = assets::plan(&api, &place()).await.expect("a plan");
    let expected = [
        "subjects",
        "discard",
        "storage",
        "max_bytes",
        "max_msgs_per_subject",
        "max_age",
        "duplicate_window",
        "allow_direct",
    ];
    assert_eq!(fields(&plan, "stream SHOP"), expected);
    let problem = assets::apply(&api, &plan).await.expect_err("refused");
    assert!(
        problem.to_string().contains("nats stream edit SHOP"),
        "{problem}"
    );
    let storage = plan
        .problems()
        .into_iter()
        .find(|p| p.reason.contains("storage"));
    assert!(storage.expect("named").remedy.contains("cannot be changed"));
    assert!(
        api.stream("WHARF-L-order-1")
            .await
            .expect("asked")
            .is_none(),
        "nothing was made"
    );
    let problems = assets::verify(&api, &place()).await.expect("verified");
    assert_eq!(
        problems.len(),
        expected.len() + 3,
        "what differs and what is missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_or_timer_stream_that_would_lose_something_is_refused() {
    let server = Server::start();
    let js = plain(&server).await;
    let ledger = Config {
        name: "WHARF-L-order-1".into(),
        subjects: vec!["wl.order-1.>".into()],
        discard: DiscardPolicy::New,
        max_bytes: 64 << 20,
        max_messages_per_subject: 1,
        allow_direct: true,
        deny_purge: true,
        ..Config::default()
    };
    js.create_stream(ledger).await.expect("a stream");
    let timers = Config {
        name: "WHARF-T-order-1".into(),
        subjects: vec!["wt.order-1.>".into()],
        allow_message_schedules: true,
        max_messages: 3,
        ..Config::default()
    };
    js.create_stream(timers).await.expect("a stream");
    let plan = assets::plan(&api(&server).await, &place())
        .await
        .expect("a plan");
    assert_eq!(
        fields(&plan, "stream WHARF-L-order-1"),
        ["allow_msg_ttl", "deny_purge"]
    );
    assert_eq!(
        fields(&plan, "stream WHARF-T-order-1"),
        ["retention", "max_msgs"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_queue_or_a_missing_stream_is_no_source_for_an_ordered_handler() {
    let server = Server::start();
    let empty = api(&server).await;
    let foreign = |ordering| {
        let mut place = unordered();
        place.streams.clear();
        place.handlers[0].ordering = ordering;
        place
    };
    let plan = assets::plan(&empty, &foreign(Ordering::Key))
        .await
        .expect("a plan");
    assert!(
        matches!(plan.steps[0].action, Action::Refused { .. }),
        "{:?}",
        actions(&plan)
    );
    for (retention, name) in [
        (RetentionPolicy::WorkQueue, "work queue"),
        (RetentionPolicy::Interest, "interest"),
    ] {
        // The server clears a deleted stream away later; one of the same name
        // may not be made before.
        let server = Server::start();
        let (js, api) = (plain(&server).await, api(&server).await);
        let subjects = vec!["shop.*.*.>".into()];
        let config = Config {
            name: "SHOP".into(),
            subjects,
            retention,
            ..Config::default()
        };
        js.create_stream(config).await.expect("a stream");
        let plan = assets::plan(&api, &foreign(Ordering::Key))
            .await
            .expect("a plan");
        let problem = assets::apply(&api, &plan).await.expect_err("refused");
        assert!(problem.reason.contains(name), "{problem}");
        let plan = assets::plan(&api, &foreign(Ordering::None))
            .await
            .expect("a plan");
        assert_eq!(plan.problems(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_consumer_begins_at_the_start_and_only_the_first_time() {
    let server = Server::start();
    let api = api(&server).await;
    let mut place = unordered();
    place.handlers[0].start = Start::Sequence(17);
    let plan = assets::plan(&api, &place).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("provisioned");
    let consumer = api
        .consumer("SHOP", "order-1")
        .await
        .expect("asked")
        .expect("the consumer");
    assert_eq!(consumer.config.opt_start_seq, Some(17));
    assert_eq!(consumer.config.filters(), ["shop.order.*.>"]);
    // Its start is history: another one in the manifest is no difference.
    place.handlers[0].start = Start::New;
    assert_eq!(assets::verify(&api, &place).await.expect("verified"), []);

    let ledger = ledger_on(connect(&server).await).await;
    let checkpoint = ledger.write_checkpoint(0, 0, "floor 40".into()).await;
    assert!(matches!(checkpoint, CommitResult::Committed { .. }));
    api.delete_consumer("SHOP", "order-1")
        .await
        .expect("deleted");
    let plan = assets::plan(&api, &place).await.expect("a plan");
    let problem = assets::apply(&api, &plan).await.expect_err("refused");
    assert!(problem.remedy.contains("ack floor"), "{problem}");
    place.handlers[0].resume_behind = Some(40);
    let plan = assets::plan(&api, &place).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("provisioned");
    let consumer = api
        .consumer("SHOP", "order-1")
        .await
        .expect("asked")
        .expect("the consumer");
    assert_eq!(
        consumer.config.deliver_policy,
        DeliverPolicy::ByStartSequence
    );
    assert_eq!(consumer.config.opt_start_seq, Some(41));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_start_is_one_that_the_broker_takes() {
    let server = Server::start();
    let api = api(&server).await;
    let js = plain(&server).await;
    let starts = [
        (Start::All, 3),
        (Start::New, 0),
        (Start::Sequence(3), 1),
        (Start::TimeMs(0), 3),
    ];
    let streams = Place {
        handlers: Vec::new(),
        ..unordered()
    };
    let plan = assets::plan(&api, &streams).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("provisioned");
    for _ in 0..3 {
        store(&js, "shop.order.1.placed", "x").await;
    }
    for (start, pending) in starts {
        let mut place = unordered();
        place.handlers[0].start = start;
        let plan = assets::plan(&api, &place).await.expect("a plan");
        assets::apply(&api, &plan).await.expect("provisioned");
        let consumer = api
            .consumer("SHOP", "order-1")
            .await
            .expect("asked")
            .expect("there");
        assert_eq!(consumer.num_pending, pending, "{start:?}");
        api.delete_consumer("SHOP", "order-1")
            .await
            .expect("deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_of_another_shape_is_refused_with_its_fields() {
    let server = Server::start();
    let api = api(&server).await;
    let mut place = unordered();
    let plan = assets::plan(&api, &place).await.expect("a plan");
    assets::apply(&api, &plan).await.expect("provisioned");
    place.handlers[0].filters = vec!["shop.order.*.placed".into(), "shop.order.*.paid".into()];
    place.handlers[0].max_ack_pending = 999;
    let plan = assets::plan(&api, &place).await.expect("a plan");
    let consumer = format!("consumer {} of stream SHOP", lineage());
    assert_eq!(
        fields(&plan, &consumer),
        ["filter_subjects"],
        "less room is wanted than there is"
    );
    place.handlers[0].max_ack_pending = 1_001;
    let plan = assets::plan(&api, &place).await.expect("a plan");
    assert_eq!(
        fields(&plan, &consumer),
        ["max_ack_pending", "filter_subjects"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_refuses_to_make_comes_with_a_remedy() {
    let server = Server::start();
    let api = api(&server).await;
    let refusal = async |place: &Place| {
        let plan = assets::plan(&api, place).await.expect("a plan");
        assets::apply(&api, &plan).await.expect_err("refused")
    };
    let mut too_many = place();
    too_many.streams[0].replicas = 3;
    let problem = refusal(&too_many).await;
    assert!(problem.remedy.contains("replicas = 1"), "{problem}");
    let mut too_large = place();
    too_large.streams[0].max_bytes = 1 << 60;
    let problem = refusal(&too_large).await;
    assert!(problem.remedy.contains("max_bytes"), "{problem}");
    let config = Config {
        name: "OTHER".into(),
        subjects: vec!["shop.>".into()],
        ..Config::default()
    };
    plain(&server)
        .await
        .create_stream(config)
        .await
        .expect("a stream");
    let problem = refusal(&place()).await;
    assert!(problem.remedy.contains("another stream"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_make_streams_is_told_which_permission_is_missing() {
    let server = Server::configured(
        r#"authorization { users: [
            { user: "few", password: "p", permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>"] } } },
        ] }"#,
    );
    let auth = connection::Auth::User {
        user: "few".into(),
        password: "p".into(),
    };
    let settings = Settings {
        auth,
        ..settings(&server)
    };
    let connection = connection::connect(&settings, &Purpose::Control)
        .await
        .expect("connected");
    let api = Api::new(connection);
    let plan = assets::plan(&api, &place()).await.expect("a plan");
    let problem = assets::apply(&api, &plan).await.expect_err("refused");
    assert!(
        problem.reason.contains("$JS.API.STREAM.CREATE.SHOP"),
        "{problem}"
    );
    assert!(problem.remedy.contains("permissions"), "{problem}");
}
