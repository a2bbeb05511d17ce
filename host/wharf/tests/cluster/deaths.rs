//! Connections that die with events in them.

use std::time::Duration;

use crate::ALONE;
use crate::proxy::{Flow, Way};
use crate::stand::{Stand, counted, until_at_rest};

const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];
const DEATHS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaving_01_what_dies_in_a_connection_comes_before_its_successors_and_once() {
    let _machine = ALONE.lock().await;
    let stand = Stand::set().await;
    let hosts = stand.hosts().await;
    let way = &stand.seats[stand.owner().await].way;
    let deaths = async {
        for nth in 0..DEATHS {
            // What arrives last is a part of an event, or of several.
            let bytes = 700 * nth % 4_100;
            way.set_for("probe", Way::FromServer, Flow::HangAfter(bytes));
            tokio::time::sleep(Duration::from_millis(200)).await;
            way.cut("probe");
            way.heal();
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    let sent = stand
        .send_notes_during(&KEYS, Duration::from_millis(50), deaths)
        .await;
    stand.assert_done(&sent).await;
    until_at_rest(&hosts).await;
    let reopened = counted(&hosts, "wharf_reader_reopened_total").await;
    println!("{reopened} readers were begun again");
    assert!(reopened >= 3, "no connection died");
}
