//! A guest's stdout and stderr: bytes go straight into the attempt's journal.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::context::Desk;
use crate::journal::Source;

/// What one write may hold; the size that WASI streams have by custom.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// One of the two streams. Never blocks: beyond the budget bytes are counted.
#[derive(Clone)]
pub(crate) struct Stdio {
    desk: Arc<Desk>,
    source: Source,
}

impl Stdio {
    pub(crate) fn stdout(desk: &Arc<Desk>) -> Self {
        Self {
            desk: Arc::clone(desk),
            source: Source::Stdout,
        }
    }

    pub(crate) fn stderr(desk: &Arc<Desk>) -> Self {
        Self {
            desk: Arc::clone(desk),
            source: Source::Stderr,
        }
    }

    fn take(&self, bytes: &[u8]) {
        self.desk.journal().print(self.source, bytes);
    }
}

impl IsTerminal for Stdio {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stdio {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Stdio {
    async fn ready(&mut self) {}
}

impl OutputStream for Stdio {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for Stdio {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        self.take(bytes);
        task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _context: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _context: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}
