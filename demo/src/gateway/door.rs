//! The listener: open, or really closed, on one port for the gateway's life.
//!
//! Down means that the kernel refuses connections, not that a handler answers
//! 503: the listener is dropped, and every open connection is cut with it.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the gateway wants of its door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Open,
    Closed,
}

/// In a response's extensions: drop the connection instead of sending it.
#[derive(Debug, Clone, Copy)]
pub struct Cut;

/// In a response's extensions: close the door for this long once it is sent.
#[derive(Debug, Clone, Copy)]
pub struct ThenDown(pub Duration);

#[derive(Debug, thiserror::Error)]
#[error("the connection is cut on purpose")]
struct CutOnPurpose;

/// Serves for ever, following `wanted` and telling `actual`. Ends when the
/// sender of `wanted` is gone.
///
/// # Cancel safety
/// Dropping the future closes the listener and cuts every connection.
pub async fn serve(
    mut listener: TcpListener,
    address: SocketAddr,
    router: Router,
    wanted: watch::Sender<Door>,
    actual: watch::Sender<Door>,
) {
    let mut wishes = wanted.subscribe();
    loop {
        actual.send_replace(Door::Open);
        accept_until_closed(listener, &router, &wanted, &mut wishes).await;
        actual.send_replace(Door::Closed);
        if wishes.wait_for(|door| *door == Door::Open).await.is_err() {
            return;
        }
        listener = bind_again(address).await;
    }
}

async fn accept_until_closed(
    listener: TcpListener,
    router: &Router,
    wanted: &watch::Sender<Door>,
    wishes: &mut watch::Receiver<Door>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = wishes.wait_for(|door| *door == Door::Closed) => return,
            accepted = listener.accept() => {
                // A connection that failed before it began is the client's to retry.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, router.clone(), wanted.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, router: Router, wanted: watch::Sender<Door>) {
    let down = OnceLock::new();
    let routes = TowerToHyperService::new(router);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = routes.call(request);
        let down = &down;
        async move {
            let Ok(response) = answer.await;
            match cut(&response, down) {
                true => Err(CutOnPurpose),
                false => Ok(response),
            }
        }
    });
    let io = TokioIo::new(stream);
    // An error here is a client gone or a cut made on purpose; both are routine.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(io, service)
        .await;
    if let Some(ThenDown(time)) = down.get() {
        tokio::spawn(close_for(wanted, *time));
    }
}

fn cut(response: &Response, down: &OnceLock<ThenDown>) -> bool {
    if let Some(then) = response.extensions().get::<ThenDown>() {
        let _ = down.set(*then);
    }
    response.extensions().get::<Cut>().is_some()
}

async fn close_for(wanted: watch::Sender<Door>, time: Duration) {
    wanted.send_replace(Door::Closed);
    tokio::time::sleep(time).await;
    wanted.send_replace(Door::Open);
}

/// Another program may hold the port for a moment; it was ours and will be.
async fn bind_again(address: SocketAddr) -> TcpListener {
    const PAUSE: Duration = Duration::from_millis(20);
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
