//! Pull, emit with an id, acknowledge what is stored.

use anyhow::Result;
use async_nats::{HeaderMap, Subject};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::pull::{Acks, Delivery, Pull};
use super::window::Window;
use super::{WINDOW, Writes, connect};
use crate::pipeline::event;

/// Works until `events` have been emitted and acknowledged.
pub async fn work(url: &str, events: u64, writes: Writes) -> Result<()> {
    let mut pull = Pull::open(connect(url).await?, "IN", Acks::Each).await?;
    let mut emit = Window::open(connect(url).await?, WINDOW).await?;
    let mut done = 0;
    while done < events {
        while emit.has_room()
            && let Some(delivery) = pull.try_next()?
        {
            publish(&mut emit, delivery, writes).await?;
        }
        while let Some((reply, _)) = emit.try_answered()? {
            pull.ack(reply).await?;
            done += 1;
        }
        pull.ask_ahead().await?;
        if done == events {
            break;
        }
        tokio::select! {
            delivery = pull.next(), if emit.has_room() => publish(&mut emit, delivery?, writes).await?,
            answered = emit.answered() => {
                pull.ack(answered?.0).await?;
                done += 1;
            }
        }
    }
    Ok(())
}

async fn publish(emit: &mut Window<Subject>, delivery: Delivery, writes: Writes) -> Result<()> {
    let (subject, headers) = emission(&delivery, writes)?;
    emit.send(subject, headers, delivery.data, delivery.reply)
        .await
}

/// Where an event's emission goes, the id that makes a repetition harmless, and
/// what else a reader of events wants to know.
pub fn emission(delivery: &Delivery, writes: Writes) -> Result<(String, HeaderMap)> {
    let key = event::key_of(&delivery.subject)?;
    let id = event::number_text(&delivery.data)?;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    if writes.attributes {
        let now = OffsetDateTime::now_utc().format(&Rfc3339)?;
        headers.insert("ce-specversion", "1.0");
        headers.insert("ce-id", id);
        headers.insert("ce-type", "bench.done");
        headers.insert("ce-source", "twin");
        headers.insert("ce-time", now);
        headers.insert("ce-correlationid", id);
        headers.insert("ce-causationid", id);
        headers.insert("content-type", "application/octet-stream");
    }
    Ok((format!("out.{key}"), headers))
}
