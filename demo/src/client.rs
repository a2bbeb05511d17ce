//! One HTTP request on a connection of its own: enough to ask a host or a
//! gateway on this machine, and honest about how a connection ended.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::Error;

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why there is no answer, by how far the request got.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error("no connection: {0}")]
    NotConnected(std::io::Error),
    #[error("cut before the whole answer: {0}")]
    Cut(hyper::Error),
    #[error("no whole answer within {0:?}")]
    TimedOut(Duration),
}

/// Sends `request`, whose URI is a path, and reads the whole answer.
///
/// # Errors
/// [`Lost`] says how far it got; nothing is ever sent twice.
///
/// # Cancel safety
/// Dropping the future closes the connection; the server may have acted.
pub async fn send(
    address: SocketAddr,
    request: Request<Bytes>,
    limit: Duration,
) -> Result<Answer, Lost> {
    let exchange = exchange(address, request);
    tokio::time::timeout(limit, exchange)
        .await
        .unwrap_or(Err(Lost::TimedOut(limit)))
}

/// `GET path`, or why not.
///
/// # Errors
/// [`Error::Http`] with the URL.
pub async fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<Answer, Error> {
    let failed = |reason: String| Error::Http {
        url: format!("http://{address}{path}"),
        reason,
    };
    let request = Request::get(path)
        .body(Bytes::new())
        .map_err(|bad| failed(bad.to_string()))?;
    send(address, request, limit)
        .await
        .map_err(|lost| failed(lost.to_string()))
}

/// `GET path` that must answer 200 with JSON of this shape.
///
/// # Errors
/// [`Error::Http`] with the URL, also for another status or shape.
pub async fn get_json<T: DeserializeOwned>(
    address: SocketAddr,
    path: &str,
    limit: Duration,
) -> Result<T, Error> {
    let answer = get(address, path, limit).await?;
    let failed = |reason: String| Error::Http {
        url: format!("http://{address}{path}"),
        reason,
    };
    if answer.status != StatusCode::OK {
        return Err(failed(format!("status {}", answer.status)));
    }
    serde_json::from_slice(&answer.body).map_err(|bad| failed(bad.to_string()))
}

async fn exchange(address: SocketAddr, mut request: Request<Bytes>) -> Result<Answer, Lost> {
    let host = HeaderValue::try_from(address.to_string()).expect("an address is plain ASCII");
    request.headers_mut().insert(header::HOST, host);
    let stream = TcpStream::connect(address)
        .await
        .map_err(Lost::NotConnected)?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(Lost::Cut)?;
    let exchange = async {
        let response = sender
            .send_request(request.map(Full::new))
            .await
            .map_err(Lost::Cut)?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(Lost::Cut)?
            .to_bytes();
        Ok(Answer { status, body })
    };
    tokio::pin!(exchange, connection);
    let mut connection_ended = false;
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            // What ends the connection ends the exchange too, which says why.
            _ = &mut connection, if !connection_ended => connection_ended = true,
        }
    }
}
