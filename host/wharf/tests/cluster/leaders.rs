//! Leaders that move while emissions are under way.

use std::time::Duration;

use futures_util::future::join_all;

use crate::ALONE;
use crate::stand::{Stand, until_at_rest};

const KEYS: usize = 8;
/// Of each key; each tells six words.
const EVENTS: usize = 40;
const STEP_DOWNS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_12_emissions_of_an_entity_keep_their_order_while_leaders_move() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let hosts = stand.hosts().await;
    let client = stand.probe.site.client().await;
    let keys: Vec<String> = (0..KEYS).map(|n| format!("k{n}")).collect();
    let sending = join_all(keys.iter().map(|key| send_lists(&stand, key)));
    let moving = async {
        for _ in 0..STEP_DOWNS {
            stand.probe.site.nats.step_down(&client, "NOTED").await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        for stream in ["PROBE", "WHARF-L-probe-1"] {
            stand.probe.site.nats.step_down(&client, stream).await;
        }
    };
    let (sent, ()) = tokio::join!(sending, moving);
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
}

async fn send_lists(stand: &Stand, key: &str) -> (String, Vec<String>) {
    let mut sent = Vec::new();
    for n in 0..EVENTS {
        let words: Vec<String> = (0..6).map(|word| format!("{key}-{n}-{word}")).collect();
        stand.probe.send(key, "list", words.join(" ")).await;
        sent.extend(words);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    (key.to_owned(), sent)
}
