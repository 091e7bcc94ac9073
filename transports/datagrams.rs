//! Datagrams, many at a time: a system call for each costs more than all else that is done for a small one.
//!
//! The caller owns both batches and uses them again and again. A batch to be sent is one run of bytes and where each
//! datagram ends. What arrives lies in slots; where the system joins datagrams of one sender and one length, a slot
//! holds a run of them.

use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

/// A socket for datagrams, each of which arrives whole: once, several times or not at all, in any order.
pub trait Datagrams: Debug + Send + Sync {
    /// Sends the first datagrams of a batch, in order. Returns how many were taken: at least one, unless there is none;
    /// what is left is for another call, once the batch has [advanced](SendBatch::advance).
    ///
    /// # Errors
    ///
    /// What the system says of the first datagram, of which none was taken. `AddrNotAvailable`: the socket's own address is
    /// this machine's no more, so that nothing can be sent any more. `ConnectionRefused` is about an earlier
    /// one, and the first may be sent again. Such an error of an earlier datagram may go untold if others were taken.
    fn poll_send(&self, cx: &mut Context<'_>, batch: &SendBatch) -> Poll<io::Result<usize>>;

    /// Replaces what a batch holds by the next datagrams, at least one.
    ///
    /// # Errors
    ///
    /// As for [`poll_send`](Self::poll_send), about an earlier datagram that was sent. The batch is empty.
    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut ReceiveBatch) -> Poll<io::Result<()>>;
}

/// Between which two a datagram goes.
///
/// # Examples
///
/// ```
/// use std::net::SocketAddr;
/// use zocket_transport::Route;
///
/// let peer: SocketAddr = "192.0.2.7:5555".parse()?;
/// assert_eq!(Route::from(peer), Route::new(peer, None));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Route {
    /// The other side.
    pub peer: SocketAddr,
    /// Which address of ours, where a socket has several and the system tells; sent from any other, an answer would not be
    /// taken. Else the socket's own, or the system's choice.
    pub local: Option<IpAddr>,
}

impl Route {
    /// For transports.
    #[must_use]
    pub const fn new(peer: SocketAddr, local: Option<IpAddr>) -> Self {
        Self { peer, local }
    }
}

impl From<SocketAddr> for Route {
    fn from(peer: SocketAddr) -> Self {
        Self::new(peer, None)
    }
}

/// Datagrams to be sent, each to an address or to whom the socket is connected.
///
/// # Examples
///
/// ```
/// use zocket_transport::SendBatch;
///
/// let mut batch = SendBatch::new();
/// batch.push(b"one", None);
/// batch.push(b"two", None);
/// batch.advance(1);
/// assert_eq!(batch.iter().collect::<Vec<_>>(), [(&b"two"[..], None)]);
/// ```
#[derive(Default)]
pub struct SendBatch {
    bytes: Vec<u8>,
    /// Where each ends.
    datagrams: Vec<(usize, Option<Route>)>,
    /// How many of them are sent.
    sent: usize,
}

impl SendBatch {
    /// So many datagrams make a batch full: as many as every Linux sends at once.
    const FULL: usize = 64;

    /// So do so many bytes: what one call sends of the largest run.
    const FULL_BYTES: usize = 64 * 1024;

    /// An empty batch.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), datagrams: Vec::new(), sent: 0 }
    }

    /// Adds a datagram. There is always room; its memory is kept for the next.
    pub fn push(&mut self, datagram: &[u8], to: Option<Route>) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((self.bytes.len(), to));
    }

    /// Whether more would gain nothing, so that it is time to send.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.datagrams.len() >= Self::FULL || self.bytes.len() >= Self::FULL_BYTES
    }

    /// Whether all are sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sent == self.datagrams.len()
    }

    /// How many are not sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.datagrams.len() - self.sent
    }

    /// Drops the first `count` of those that are left, because they are sent, or are not to be.
    pub fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.datagrams.len());
        if self.is_empty() {
            self.clear();
        } else if self.sent >= Self::FULL.max(self.datagrams.len() / 2) {
            // Else what is sent would stay for as long as there is always something left.
            let start = self.start();
            self.bytes.drain(..start);
            self.datagrams.drain(..self.sent);
            self.datagrams.iter_mut().for_each(|(end, _)| *end -= start);
            self.sent = 0;
        }
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
        self.sent = 0;
    }

    /// What is to be sent, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<Route>)> + Clone {
        let ends = self.datagrams.get(self.sent..).unwrap_or_default();
        let mut rest = self.bytes.get(self.start()..).unwrap_or_default();
        let mut start = self.start();
        ends.iter().map(move |&(end, to)| {
            let (datagram, after) = rest.split_at_checked(end - start).unwrap_or((rest, &[]));
            (rest, start) = (after, end);
            (datagram, to)
        })
    }

    /// For transports: the bytes of the first `count` of those that are left, one behind the other.
    #[must_use]
    pub fn joined(&self, count: usize) -> &[u8] {
        let end = count.checked_sub(1).and_then(|last| self.datagrams.get(self.sent + last));
        end.and_then(|(end, _)| self.bytes.get(self.start()..*end)).unwrap_or_default()
    }

    fn start(&self) -> usize {
        self.sent.checked_sub(1).and_then(|last| self.datagrams.get(last)).map_or(0, |(end, _)| *end)
    }
}

impl Debug for SendBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBatch").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Room for datagrams that arrive, and who sent them.
///
/// It reserves [`SLOTS`](Self::SLOTS) × [`SLOT`](Self::SLOT) = 512 KiB, of which the system hands out only what was
/// ever written to: 4 KiB, where a small datagram at a time arrives. One batch serves any number of sockets in turn.
pub struct ReceiveBatch {
    buffer: Box<[u8]>,
    /// What is in each slot.
    runs: Vec<Run>,
}

/// Datagrams of one sender, all of one length but the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
struct Run {
    from: Route,
    len: usize,
    each: usize,
}

impl ReceiveBatch {
    /// The size of a slot: more than any datagram has, and as much as the system joins.
    pub const SLOT: usize = 64 * 1024;

    /// How many there are. With more, the costs of a call are divided no better, and a burst is cut into queues that
    /// hold a thousand messages.
    pub const SLOTS: usize = 8;

    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: vec![0; Self::SLOTS * Self::SLOT].into_boxed_slice(),
            runs: Vec::with_capacity(Self::SLOTS),
        }
    }

    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// For transports: the free slots, in the order in which they are to be filled.
    pub fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.buffer.chunks_exact_mut(Self::SLOT).skip(self.runs.len())
    }

    /// For transports: the first free slot got a datagram of `len` bytes, or a run with `each` bytes in all datagrams
    /// but the last. One that was cut off fills the slot, and so is larger than any that is allowed.
    pub fn filled(&mut self, from: Route, len: usize, each: usize) {
        let each = each.max(1);
        self.runs.push(Run { from, len: len.min(Self::SLOT), each });
    }

    /// What arrived, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Route, &[u8])> {
        self.buffer.chunks_exact(Self::SLOT).zip(&self.runs).flat_map(|(slot, run)| {
            let bytes = slot.get(..run.len).unwrap_or_default();
            // An empty datagram is one too.
            let empty = bytes.is_empty().then_some(bytes);
            empty.into_iter().chain(bytes.chunks(run.each)).map(|datagram| (run.from, datagram))
        })
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch").field("runs", &self.runs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_is_left_of_a_batch_is_what_was_not_sent() {
        let to = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 7)).into());
        let mut batch = SendBatch::new();
        let left =
            |batch: &SendBatch| batch.iter().map(|(bytes, to)| (bytes.to_vec(), to)).collect::<Vec<_>>();
        for (datagram, to) in [(&b"one"[..], None), (b"", to), (b"three", None)] {
            batch.push(datagram, to);
        }
        assert_eq!(batch.joined(3), b"onethree");
        batch.advance(1);
        assert_eq!(left(&batch), [(vec![], to), (b"three".to_vec(), None)]);
        batch.advance(1);
        assert_eq!((batch.len(), batch.joined(1)), (1, &b"three"[..]));
        batch.push(b"more", to);
        batch.advance(1);
        assert_eq!(left(&batch), [(b"more".to_vec(), to)]);
        batch.advance(9);
        assert!(batch.is_empty());
        batch.push(b"new", None);
        assert_eq!(left(&batch), [(b"new".to_vec(), None)]);
    }

    #[test]
    fn a_batch_is_full_by_number_and_by_size() {
        let mut batch = SendBatch::new();
        while !batch.is_full() {
            batch.push(b"x", None);
        }
        assert_eq!(batch.len(), 64);
        batch.advance(64);
        assert!(!batch.is_full());
        batch.push(&[0; 65_000], None);
        assert!(!batch.is_full());
        batch.push(&[0; 600], None);
        assert!(batch.is_full());
    }

    #[test]
    fn runs_come_apart_where_they_were_joined() {
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 7)).into();
        let mut batch = ReceiveBatch::new();
        batch.slots().next().unwrap()[..5].copy_from_slice(b"ababa");
        batch.filled(from, 5, 2);
        batch.filled(from, 0, 0);
        batch.slots().next().unwrap()[..3].copy_from_slice(b"end");
        batch.filled(from, 3, 3);
        let arrived = batch.iter().map(|(_, datagram)| datagram).collect::<Vec<_>>();
        assert_eq!(arrived, [&b"ab"[..], b"ab", b"a", b"", b"end"]);
        assert_eq!(batch.slots().count(), ReceiveBatch::SLOTS - 3);
        batch.clear();
        assert_eq!((batch.iter().count(), batch.slots().count()), (0, ReceiveBatch::SLOTS));
    }

    #[test]
    fn what_is_sent_is_not_kept_though_there_is_always_something_left() {
        let mut batch = SendBatch::new();
        batch.push(&[0; 17], None);
        for number in 0..100_000_u32 {
            batch.push(&number.to_be_bytes(), None);
            batch.advance(1);
        }
        let (last, _) = batch.iter().next().unwrap();
        assert_eq!((batch.len(), last), (1, &99_999_u32.to_be_bytes()[..]));
        assert!(batch.bytes.len() < 1000 && batch.datagrams.len() <= 2 * SendBatch::FULL);
    }
}
