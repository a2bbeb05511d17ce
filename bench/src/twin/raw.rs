//! Single operations at full speed, over the same streams.

use std::time::Instant;

use anyhow::Result;
use async_nats::HeaderMap;
use bytes::Bytes;

use super::pull::{Acks, Pull};
use super::window::Window;
use super::{WINDOW, connect};
use crate::pipeline::event;

/// Publishes with a message id, a second.
///
/// # Errors
/// When the broker refuses one.
pub async fn publish(url: &str, events: u64) -> Result<f64> {
    let mut window = Window::open(connect(url).await?, WINDOW).await?;
    let began = Instant::now();
    for number in 0..events {
        make_room(&mut window).await?;
        let (subject, mut headers, data) = event::of(number);
        headers = only_id(&headers);
        window.send(subject, headers, data, ()).await?;
    }
    drain(&mut window).await?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Compare-and-set writes, each of a subject that is not there yet, a second.
///
/// # Errors
/// When the broker refuses one.
pub async fn compare_and_set(url: &str, events: u64, record_bytes: usize) -> Result<f64> {
    let mut window = Window::open(connect(url).await?, WINDOW).await?;
    let record = Bytes::from(vec![b'r'; record_bytes]);
    let began = Instant::now();
    for number in 0..events {
        make_room(&mut window).await?;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Expected-Last-Subject-Sequence", "0");
        window
            .send(format!("records.{number}"), headers, record.clone(), ())
            .await?;
    }
    drain(&mut window).await?;
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Events pulled and acknowledged, a second.
///
/// # Errors
/// When a pull ends.
pub async fn pull_and_ack(url: &str, events: u64) -> Result<f64> {
    let mut pull = Pull::open(connect(url).await?, "IN", Acks::Each).await?;
    let began = Instant::now();
    for _ in 0..events {
        let delivery = match pull.try_next()? {
            Some(delivery) => delivery,
            None => pull.next().await?,
        };
        pull.ack(delivery.reply).await?;
        pull.ask_ahead().await?;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

async fn make_room(window: &mut Window<()>) -> Result<()> {
    if !window.has_room() {
        window.answered().await?;
    }
    while window.try_answered()?.is_some() {}
    Ok(())
}

/// Waits for what is under way.
///
/// # Errors
/// When the broker refused one.
pub async fn drain(window: &mut Window<()>) -> Result<()> {
    while !window.is_empty() {
        window.answered().await?;
    }
    Ok(())
}

fn only_id(headers: &HeaderMap) -> HeaderMap {
    let mut only = HeaderMap::new();
    if let Some(id) = headers.get("Nats-Msg-Id") {
        only.insert("Nats-Msg-Id", id.clone());
    }
    only
}
