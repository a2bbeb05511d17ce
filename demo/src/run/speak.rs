//! What the demo says: the report on standard output, all else on standard error.

use std::io::Write;

use super::folder::{CHAINS, ORDER};
use super::outcome::Outcome;
use super::stage::Stage;
use crate::args::{DemoArgs, Output};

/// Writes to a reader that may have gone away, which `println!` takes for a
/// reason to panic: children must be drained, whether or not anybody listens.
pub fn write_or_lose(mut to: impl Write, text: &str) {
    let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
}

/// A line for whoever watches.
pub fn say(line: &str) {
    write_or_lose(std::io::stderr(), &format!("{line}\n"));
}

/// The report and the figures.
pub fn print(outcome: &Outcome, output: Output) {
    let text = match output {
        Output::Table => format!("\n{outcome}"),
        Output::Json => outcome.json() + "\n",
    };
    write_or_lose(std::io::stdout(), &text);
}

/// What there is to look at while everything stays up.
pub fn what_is_up(args: &DemoArgs, stage: &Stage) -> String {
    let (host, gateway, nats) = (stage.host.url(), stage.gateway.url(), stage.nats.url());
    let folder = stage.folder.path().display();
    let order = args
        .spec()
        .orders()
        .next()
        .map_or("ORDER".into(), |order| order.id);
    format!(
        "Everything stays up until Ctrl-C.

  host      {host}/ready  {host}/metrics
  gateways  {gateway}/report  {gateway}/control
  broker    {nats}
  logs      {folder}

Next:
  ./just wharf entity show order {order} --config {folder}/wharf.toml
  ./just wharf publish order.placed --key ORD-MINE --data @{folder}/{ORDER} --config {folder}/wharf.toml --wait
  ./just audit-verify {folder}/{CHAINS}
  curl -X PUT {gateway}/control -H 'content-type: application/json' -d '{{\"down_ms\": 20000}}'"
    )
}
