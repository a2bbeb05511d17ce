//! Leaders that move while emissions are under way.

use std::time::Duration;

use crate::ALONE;
use crate::stand::{Stand, until_at_rest};

const KEYS: [&str; 8] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"];
/// That one event tells of, each in an emission of its own.
const WORDS: usize = 30;
const STEP_DOWNS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_12_emissions_of_an_entity_keep_their_order_while_leaders_move() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let hosts = stand.hosts().await;
    let client = stand.probe.site.client().await;
    let moving = async {
        for _ in 0..STEP_DOWNS {
            stand.probe.site.nats.step_down(&client, "NOTED").await;
        }
        for stream in ["PROBE", "WHARF-L-probe-1"] {
            stand.probe.site.nats.step_down(&client, stream).await;
        }
    };
    let list = |key: &str, nth: usize| {
        let words = (0..WORDS).map(|word| format!("{key}-{nth}-{word}"));
        ("list", words.collect())
    };
    let pause = Duration::from_millis(200);
    let sent = stand.send_during(&KEYS, pause, list, moving).await;
    let words: usize = sent.iter().map(|(_, words)| words.len()).sum();
    println!("{words} emissions while leaders moved");
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
}
