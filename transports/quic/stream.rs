//! A stream of a link, as ordered bytes.
//!
//! Where a kernel goes on sending for a socket that was closed, here somebody has to: the first stream of a link, when it
//! is dropped, leaves a task behind, which closes the connection when the peer has acknowledged everything, or a time has passed.

use std::any::Any;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quinn::{Connection, ReadError, RecvStream, SendStream, StoppedError, WriteError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::tls::{self, DONE};
use crate::BoxFuture;

/// How long a dropped link still sends what was written. Whoever wants more waits for the shutdown before.
const FLUSH: Duration = Duration::from_secs(10);

pub(super) struct QuicStream {
    pub(super) connection: Connection,
    send: SendStream,
    recv: RecvStream,
    /// Of the stream that the connection lives with: what must live for as long, and where it is driven, for the last to
    /// hold it may be elsewhere.
    keep: Option<(Arc<dyn Any + Send + Sync>, Handle)>,
    /// Resolves when the peer has acknowledged everything, or wants no more.
    finishing: Option<BoxFuture<'static, Result<(), StoppedError>>>,
}

impl QuicStream {
    /// The first stream of a connection, with which it ends.
    pub(super) fn new(
        connection: Connection,
        halves: (SendStream, RecvStream),
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        let mut stream = Self::lane(connection, halves);
        stream.keep = Some((keep, Handle::current()));
        stream
    }

    /// A further one.
    pub(super) fn lane(connection: Connection, (send, recv): (SendStream, RecvStream)) -> Self {
        Self { connection, send, recv, keep: None, finishing: None }
    }

    /// Ends our direction. The second time changes nothing.
    fn finish(&mut self) -> BoxFuture<'static, Result<(), StoppedError>> {
        self.send.finish().ok();
        let stopped = self.send.stopped();
        Box::pin(async { stopped.await.map(drop) })
    }
}

impl AsyncRead for QuicStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match ready!(self.recv.poll_read_buf(cx, buf)) {
            Err(ReadError::ConnectionLost(end)) if tls::is_done(&end) => Poll::Ready(Ok(())),
            done => Poll::Ready(done.map_err(read_failed)),
        }
    }
}

pub(super) fn read_failed(error: ReadError) -> io::Error {
    match error {
        ReadError::ConnectionLost(end) => tls::failed(end),
        error => error.into(),
    }
}

pub(super) fn write_failed(error: WriteError) -> io::Error {
    match error {
        WriteError::ConnectionLost(end) if tls::is_done(&end) => io::ErrorKind::BrokenPipe.into(),
        WriteError::ConnectionLost(end) => tls::failed(end),
        // The peer closes, and says so itself.
        WriteError::Stopped(_) => io::ErrorKind::BrokenPipe.into(),
        error => error.into(),
    }
}

impl AsyncWrite for QuicStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, buf).map_err(write_failed)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut written = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match self.as_mut().poll_write(cx, buf) {
                Poll::Ready(Ok(bytes)) => {
                    written += bytes;
                    // What follows belongs behind the rest of this one.
                    if bytes < buf.len() {
                        break;
                    }
                }
                // Of what was written nothing may be said to have failed.
                _ if written > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.finishing.is_none() {
            self.finishing = Some(self.finish());
        }
        let Some(finishing) = &mut self.finishing else { return Poll::Ready(Ok(())) };
        let finished = ready!(finishing.as_mut().poll(cx));
        self.finishing = Some(Box::pin(std::future::ready(finished.clone())));
        Poll::Ready(match finished {
            Err(StoppedError::ConnectionLost(end)) if !tls::is_done(&end) => Err(tls::failed(end)),
            _ => Ok(()),
        })
    }
}

impl Drop for QuicStream {
    fn drop(&mut self) {
        let Some((keep, runtime)) = self.keep.take() else { return };
        if self.connection.close_reason().is_some() {
            return;
        }
        let finished = self.finish();
        let connection = self.connection.clone();
        let close = async move {
            timeout(FLUSH, finished).await.ok();
            connection.close(DONE, b"");
            drop(keep);
        };
        runtime.spawn(close);
    }
}

impl fmt::Debug for QuicStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicStream").field("connection", &self.connection).finish_non_exhaustive()
    }
}
