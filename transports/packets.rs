//! Packets beside the streams of a link: each by itself, without order, and lost where the network loses it.

use std::fmt::Debug;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

/// The packets of a link, both ways. What arrives does so once, and as it was sent; the peer's end of the link is theirs.
pub trait Packets: Debug + Send + 'static {
    /// The largest that may be sent now. 0: the peer takes none.
    fn max_size(&self) -> usize;

    /// Hands a packet over to be sent as soon as the network allows. Until this is ready, it is to be called with the same
    /// packet again.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is too large, and the next may be sent. `BrokenPipe`: the peer has closed. Else the link has
    /// ended.
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &Bytes) -> Poll<io::Result<()>>;

    /// Ready when all that was handed over has left, or never will.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// The next packet that has arrived; `None` once the peer has closed and nothing is left.
    ///
    /// # Errors
    ///
    /// The link has ended in another way.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;
}
