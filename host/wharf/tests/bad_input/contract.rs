//! A component written against the contract alone runs beside the shop.

use std::collections::BTreeMap;
use std::time::Duration;

use wharf_demo::gateway::Modes;
use wharf_demo::load::{self, Counters, Spec};
use wharf_demo::shop::{Final, STREAM};
use wharf_demo::stream::Stream;

use crate::bundles::{self, Bundle};
use crate::support::{Plan, SHOP_STREAMS, Site, until};
use crate::{ALONE, watch};

const ENDED_WITHIN: Duration = Duration::from_secs(120);

/// Few pieces, so that some orders are rejected; and some cards are declined.
const SPEC: Spec = Spec {
    seed: 11,
    first: 1,
    orders: 60,
    skus: 6,
    stock: 12,
    rate: None,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_component_written_against_the_wit_alone_counts_one_end_for_each_order() {
    let _alone = ALONE.lock().await;
    let handlers =
        bundles::folder(&[bundles::shop(), vec![Bundle::shipped("ledger-count")]].concat());
    let modes = Modes {
        decline_rate: 0.2,
        ..Modes::default()
    };
    let site =
        Site::provisioned(Plan::of(handlers.path().to_owned(), SHOP_STREAMS).modes(modes)).await;
    let mut host = site.host().await;
    load::run(site.client().await, &SPEC, &Counters::default())
        .await
        .expect("all orders are placed");

    let ledger = site.ledger("ledger-count").await;
    let orders: Vec<String> = SPEC.orders().map(|order| order.id).collect();
    until(
        "an end of every order to be counted",
        ENDED_WITHIN,
        async || (ledger.records().await.len() >= orders.len()).then_some(()),
    )
    .await;
    let last = Stream::new(site.client().await, STREAM)
        .extent()
        .await
        .expect("the broker answers")
        .last_seq;
    watch::settled(&ledger, last_of_its_own(&site, last).await).await;
    for order in &orders {
        assert_eq!(
            watch::text(&ledger, &format!("order/{order}")).await,
            "1",
            "{order}"
        );
    }
    assert_eq!(
        ledger.records().await.len(),
        orders.len(),
        "something else was counted"
    );
    assert_eq!(ledger.entries().await, [], "nothing is parked");
    let ends = ends(&site).await;
    assert_eq!(ends.values().sum::<usize>(), orders.len(), "{ends:?}");
    assert!(ends.len() > 1, "all orders ended alike: {ends:?}");
    host.require_running().expect("the host is alive");
}

/// How many orders ended in which way, by the stream.
async fn ends(site: &Site) -> BTreeMap<Final, usize> {
    let stream = Stream::new(site.client().await, STREAM);
    let mut ends = BTreeMap::new();
    for end in Final::ALL {
        let subject = format!("shop.order.*.{}", end.token());
        let found = stream
            .read_matching(&subject)
            .await
            .expect("the broker answers")
            .len();
        if found > 0 {
            ends.insert(end, found);
        }
    }
    ends
}

/// The last event at or below `last` that the handler subscribes to: the
/// watermark of a quiet stream stays there.
async fn last_of_its_own(site: &Site, last: u64) -> u64 {
    let stream = Stream::new(site.client().await, STREAM);
    let stored = stream.read(1..=last).await.expect("the broker answers");
    let is_end = |subject: &str| {
        Final::ALL
            .iter()
            .any(|end| subject.ends_with(&format!(".{}", end.token())))
    };
    stored
        .iter()
        .rev()
        .find(|message| is_end(&message.subject))
        .expect("an order ended")
        .sequence
}
