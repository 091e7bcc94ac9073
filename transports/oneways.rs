//! Streams of one direction beside those of a link: each is ended, or cut off by whoever writes it.

use std::fmt::Debug;
use std::io;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxFuture;

/// The streams of one direction of a link, both ways.
pub trait Oneways: Debug + Send + 'static {
    /// From now on the peer may open some, and not before.
    fn welcome(&mut self);

    /// Opens one to the peer, when it takes another. Nobody hears of it before something was written.
    ///
    /// # Errors
    ///
    /// `BrokenPipe`: the peer has closed. Else the link has ended.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Box<dyn Oneway>>>;

    /// The next one of the peer's, in the order in which they were opened; `None` once it has closed. Reading fails with
    /// `ConnectionReset` if the peer cuts it off. Dropping it says that nothing more is wanted.
    ///
    /// # Errors
    ///
    /// The link has ended in another way.
    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Box<dyn AsyncRead + Send + Unpin>>>>;
}

/// One that we write. Writing fails with `ConnectionReset` if the peer wants no more of it. `poll_shutdown` ends it, and does not wait for anything. Dropping it before cuts it off: what was
/// not sent is not, and the peer drops what it has.
pub trait Oneway: AsyncWrite + Debug + Send + Unpin {
    /// Resolves when the peer has everything, or wants no more.
    fn arrived(&self) -> BoxFuture<'static, ()>;
}
