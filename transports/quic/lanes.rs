//! The lanes of a link: bidirectional streams whose first byte is their number.

use std::io;

use quinn::{Connection, ReadError, ReadExactError, RecvStream, SendStream, WriteError};

use super::stream::{self, QuicStream};
use super::tls;
use crate::{BoxFuture, Lanes, Stream, Streams};

/// The lane that every connection has.
pub(super) const MAIN_LANE: u8 = 0;

/// The lanes of a connection beside the first.
#[derive(Debug)]
pub(super) struct QuicLanes {
    connection: Connection,
    lanes: Lanes,
}

impl QuicLanes {
    pub(super) const fn new(connection: Connection, lanes: Lanes) -> Self {
        Self { connection, lanes }
    }
}

/// Opens a lane. A stream exists for the peer only once something was sent on it: the number.
pub(super) async fn open(
    connection: &Connection,
    lanes: &Lanes,
    lane: u8,
) -> io::Result<(SendStream, RecvStream)> {
    let (mut send, recv) = connection.open_bi().await.map_err(tls::failed)?;
    set_priority(&send, lanes, lane);
    send.write_all(&[lane]).await.map_err(|error| match error {
        WriteError::Stopped(_) => unusable("the peer does not want the lane"),
        error => stream::write_failed(error),
    })?;
    Ok((send, recv))
}

/// Waits for a lane that the peer opens.
pub(super) async fn accept(
    connection: &Connection,
    lanes: &Lanes,
) -> io::Result<(u8, (SendStream, RecvStream))> {
    let (send, mut recv) = connection.accept_bi().await.map_err(tls::failed)?;
    let mut lane = [0];
    recv.read_exact(&mut lane).await.map_err(|error| match error {
        ReadExactError::ReadError(ReadError::Reset(_)) | ReadExactError::FinishedEarly(_) => {
            unusable("the peer opened a stream and did not say for which lane")
        }
        ReadExactError::ReadError(error) => stream::read_failed(error),
    })?;
    let [lane] = lane;
    set_priority(&send, lanes, lane);
    Ok((lane, (send, recv)))
}

/// The fault of a stream alone: the connection goes on.
fn unusable(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn set_priority(send: &SendStream, lanes: &Lanes, lane: u8) {
    // Fails if the stream is closed: then there is nothing to send first.
    send.set_priority(lanes.priority_of(lane).into()).ok();
}

impl Streams for QuicLanes {
    fn open(&self, lane: u8) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        let (connection, lanes) = (self.connection.clone(), self.lanes.clone());
        Box::pin(async move {
            let halves = open(&connection, &lanes, lane).await?;
            Ok(Box::new(QuicStream::lane(connection, halves)) as Box<dyn Stream>)
        })
    }

    fn accept(&self) -> BoxFuture<'static, io::Result<(u8, Box<dyn Stream>)>> {
        let (connection, lanes) = (self.connection.clone(), self.lanes.clone());
        Box::pin(async move {
            let (lane, halves) = accept(&connection, &lanes).await?;
            Ok((lane, Box::new(QuicStream::lane(connection, halves)) as Box<dyn Stream>))
        })
    }
}
