//! Pull, emit with an id, acknowledge what is stored.

use anyhow::Result;
use async_nats::{HeaderMap, Subject};

use super::pull::{Acks, Delivery, Pull};
use super::window::Window;
use super::{WINDOW, connect};
use crate::pipeline::event;

/// Works until `events` have been emitted and acknowledged.
pub async fn work(url: &str, events: u64) -> Result<()> {
    let mut pull = Pull::open(connect(url).await?, "IN", Acks::Each).await?;
    let mut emit = Window::open(connect(url).await?, WINDOW).await?;
    let mut done = 0;
    while done < events {
        while emit.has_room()
            && let Some(delivery) = pull.try_next()?
        {
            publish(&mut emit, delivery).await?;
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
            delivery = pull.next(), if emit.has_room() => publish(&mut emit, delivery?).await?,
            answered = emit.answered() => {
                pull.ack(answered?.0).await?;
                done += 1;
            }
        }
    }
    Ok(())
}

async fn publish(emit: &mut Window<Subject>, delivery: Delivery) -> Result<()> {
    let (subject, headers) = emission(&delivery)?;
    emit.send(subject, headers, delivery.data, delivery.reply)
        .await
}

/// Where an event's emission goes, and the id that makes a repetition harmless.
pub fn emission(delivery: &Delivery) -> Result<(String, HeaderMap)> {
    let key = event::key_of(&delivery.subject)?;
    let id = event::number_text(&delivery.data)?;
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    Ok((format!("out.{key}"), headers))
}
