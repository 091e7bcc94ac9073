//! The streams of one direction of a link: QUIC's unidirectional ones.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use quinn::{Connection, ConnectionError, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::{read_failed, write_failed};
use super::{tls, tune};
use crate::{BoxFuture, LinkOptions, Oneway, Oneways};

/// Something newer takes its place.
const SUPERSEDED: VarInt = VarInt::from_u32(0);

pub(super) struct QuicOneways {
    connection: Connection,
    /// The connection's, once the peer may open some.
    window: VarInt,
    opening: Option<BoxFuture<'static, Result<SendStream, ConnectionError>>>,
    accepting: Option<BoxFuture<'static, Result<RecvStream, ConnectionError>>>,
}

impl QuicOneways {
    pub(super) fn new(connection: Connection, options: &LinkOptions) -> Self {
        Self { connection, window: tune::window_with_oneways(options), opening: None, accepting: None }
    }
}

impl Oneways for QuicOneways {
    fn welcome(&mut self) {
        self.connection.set_receive_window(self.window);
        self.connection.set_max_concurrent_uni_streams(tune::ONEWAYS.into());
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Oneway>>> {
        let opening = self.opening.get_or_insert_with(|| {
            let connection = self.connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = opening.as_mut().poll(cx);
        if opened.is_ready() {
            self.opening = None;
        }
        opened.map(|opened| match opened {
            Ok(send) => Ok(Box::new(Writer { send, ended: false }) as Box<dyn Oneway>),
            Err(end) if tls::is_done(&end) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(end) => Err(tls::failed(end)),
        })
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Box<dyn AsyncRead + Send + Unpin>>>> {
        let accepting = self.accepting.get_or_insert_with(|| {
            let connection = self.connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = accepting.as_mut().poll(cx);
        if accepted.is_ready() {
            self.accepting = None;
        }
        accepted.map(|accepted| match accepted {
            Ok(recv) => Ok(Some(Box::new(Reader(recv)) as Box<dyn AsyncRead + Send + Unpin>)),
            Err(end) if tls::is_done(&end) => Ok(None),
            Err(end) => Err(tls::failed(end)),
        })
    }
}

impl fmt::Debug for QuicOneways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicOneways").field("connection", &self.connection).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Writer {
    send: SendStream,
    ended: bool,
}

impl Oneway for Writer {
    fn arrived(&self) -> BoxFuture<'static, ()> {
        let stopped = self.send.stopped();
        Box::pin(async { drop(stopped.await) })
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send).poll_write(cx, buf).map_err(|error| match error {
            WriteError::Stopped(_) => io::ErrorKind::ConnectionReset.into(),
            error => write_failed(error),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        // Fails if it is closed already, or the peer wants no more of it.
        self.send.finish().ok();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.ended {
            // Fails if it is closed already.
            self.send.reset(SUPERSEDED).ok();
        }
    }
}

struct Reader(RecvStream);

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll_read_buf(cx, buf).map_err(|error| match error {
            ReadError::Reset(_) => io::ErrorKind::ConnectionReset.into(),
            // The end of the link is for others to tell: this stream has none any more.
            ReadError::ConnectionLost(end) if tls::is_done(&end) => io::ErrorKind::ConnectionReset.into(),
            error => read_failed(error),
        })
    }
}
