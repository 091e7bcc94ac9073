//! The packets of a link: QUIC's datagrams (RFC 9221).

use std::fmt;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quinn::{Connection, ConnectionError, SendDatagramError};
use tokio::time::sleep;

use super::tls;
use crate::{BoxFuture, Packets};

pub(super) struct QuicPackets {
    connection: Connection,
    /// How much room there is for packets while none waits to be sent.
    room: usize,
    /// Waits for room for the packet that is to be sent.
    sending: Option<BoxFuture<'static, Result<(), SendDatagramError>>>,
    /// Waits for the next one to arrive.
    receiving: Option<BoxFuture<'static, Result<Bytes, ConnectionError>>>,
    /// Waits until all have left.
    leaving: Option<BoxFuture<'static, ()>>,
}

impl QuicPackets {
    pub(super) fn new(connection: Connection) -> Self {
        let room = connection.datagram_send_buffer_space();
        Self { connection, room, sending: None, receiving: None, leaving: None }
    }
}

impl Packets for QuicPackets {
    fn max_size(&self) -> usize {
        self.connection.max_datagram_size().unwrap_or_default()
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &Bytes) -> Poll<io::Result<()>> {
        if self.sending.is_none() && self.connection.datagram_send_buffer_space() >= packet.len() {
            return Poll::Ready(self.connection.send_datagram(packet.clone()).map_err(send_failed));
        }
        let sending = self.sending.get_or_insert_with(|| {
            let (connection, packet) = (self.connection.clone(), packet.clone());
            Box::pin(async move { connection.send_datagram_wait(packet).await })
        });
        let sent = sending.as_mut().poll(cx);
        if sent.is_ready() {
            self.sending = None;
        }
        sent.map_err(send_failed)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        /// `quinn` tells nobody when its buffer is empty. It is asked so often only where a socket closes.
        const OFTEN: Duration = Duration::from_millis(1);
        let leaving = self.leaving.get_or_insert_with(|| {
            let (connection, room) = (self.connection.clone(), self.room);
            Box::pin(async move {
                while connection.datagram_send_buffer_space() < room && connection.close_reason().is_none() {
                    sleep(OFTEN).await;
                }
            })
        });
        let left = leaving.as_mut().poll(cx);
        if left.is_ready() {
            self.leaving = None;
        }
        left
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut received = match &mut self.receiving {
            Some(receiving) => receiving.as_mut().poll(cx),
            // In a burst there is one already, and nothing to be kept for it.
            None => pin!(self.connection.read_datagram()).poll(cx),
        };
        if received.is_ready() {
            self.receiving = None;
        } else if self.receiving.is_none() {
            let connection = self.connection.clone();
            let receiving = self.receiving.insert(Box::pin(async move { connection.read_datagram().await }));
            received = receiving.as_mut().poll(cx);
            if received.is_ready() {
                self.receiving = None;
            }
        }
        received.map(|received| match received {
            Ok(packet) => Ok(Some(packet)),
            Err(end) if tls::is_done(&end) => Ok(None),
            Err(end) => Err(tls::failed(end)),
        })
    }
}

fn send_failed(error: SendDatagramError) -> io::Error {
    match error {
        SendDatagramError::ConnectionLost(end) if tls::is_done(&end) => io::ErrorKind::BrokenPipe.into(),
        SendDatagramError::ConnectionLost(end) => tls::failed(end),
        error => io::Error::new(io::ErrorKind::InvalidInput, error),
    }
}

impl fmt::Debug for QuicPackets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuicPackets").field("connection", &self.connection).finish_non_exhaustive()
    }
}
