//! Streams that are read from before the event loop says that there is something, for links that are polled in a loop.
//!
//! To hear of new bytes from the event loop takes a system call more and a wake of the task. A stream that is polled
//! over and over finds them sooner by asking for them.
//!
//! Tokio does not know of such a read, and need not: it is tried only where tokio has just said that there is nothing,
//! so the selector is armed and tells of whatever comes next. Of what was taken here it tells once in vain.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{LinkOptions, Stream};

/// Room for what is found early is zeroed first, so it is little. More comes through the event loop.
const LITTLE: usize = 512;

/// A socket as a wire, read as the options say.
pub(crate) fn wire<S>(stream: S, options: &LinkOptions) -> Box<dyn Stream>
where
    S: Stream + 'static,
    for<'a> SockRef<'a>: From<&'a S>,
{
    if options.eager { Box::new(Eager { stream, asks: false }) } else { Box::new(stream) }
}

#[derive(Debug)]
struct Eager<S> {
    stream: S,
    /// The last attempt found nothing. Right behind what was found there seldom is more, and if so, it is much.
    asks: bool,
}

impl<S> AsyncRead for Eager<S>
where
    S: AsyncRead + Unpin,
    for<'a> SockRef<'a>: From<&'a S>,
{
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Before, so that the waker is left and nothing that comes in between is missed.
        if let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            this.asks = false;
            return Poll::Ready(read);
        }
        if !std::mem::replace(&mut this.asks, true) {
            return Poll::Pending;
        }
        let room = buf.initialize_unfilled_to(LITTLE.min(buf.remaining()));
        match (&*SockRef::from(&this.stream)).read(room) {
            Ok(read) => {
                this.asks = false;
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Eager<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use tokio::io::AsyncReadExt;

    use super::*;

    /// An eager wire, and the peer's end of it.
    fn pair() -> (Box<dyn Stream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        let options = LinkOptions { eager: true, ..LinkOptions::default() };
        (wire(tokio::net::TcpStream::from_std(ours).unwrap(), &options), theirs)
    }

    /// Reads without giving the event loop a turn. `None`: there is nothing.
    async fn look(wire: &mut dyn Stream) -> Option<Vec<u8>> {
        let mut room = vec![0; 10_000];
        poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut room);
            let read = Pin::new(&mut *wire).poll_read(cx, &mut buf);
            Poll::Ready(read.is_ready().then(|| buf.filled().to_vec()))
        })
        .await
    }

    /// As above, until it finds something: the second time.
    async fn find(wire: &mut dyn Stream) -> Vec<u8> {
        for _ in 0..10 {
            if let Some(found) = look(wire).await {
                return found;
            }
        }
        panic!("nothing is found without the event loop")
    }

    #[tokio::test]
    async fn what_has_come_is_found_before_the_event_loop_tells_of_it() {
        let (mut wire, mut theirs) = pair();
        // The event loop tells of a new socket that it can be written to, and no more.
        tokio::task::yield_now().await;
        for word in [&b"one"[..], b"two"] {
            assert_eq!(look(&mut *wire).await, None);
            theirs.write_all(word).unwrap();
            assert_eq!(find(&mut *wire).await, word);
        }
        drop(theirs);
        assert_eq!(find(&mut *wire).await, b"", "its end is found as well");
    }

    #[tokio::test]
    async fn all_arrives_once_and_in_order_found_early_or_told_of() {
        let (mut wire, mut theirs) = pair();
        let sent: Vec<u8> = (0..=u8::MAX).cycle().take(100_000).collect();
        let all = sent.clone();
        let sending = std::thread::spawn(move || {
            all.chunks(700).for_each(|part| theirs.write_all(part).unwrap());
        });
        let mut got = Vec::new();
        let (mut early, mut told) = (0, 0);
        while got.len() < sent.len() {
            // After a turn of the event loop tokio knows of what is there, and is asked first.
            for _ in 0..2 {
                let found = look(&mut *wire).await.unwrap_or_default();
                early += usize::from(!found.is_empty());
                got.extend(found);
            }
            told += usize::from(wire.read_buf(&mut got).await.unwrap() > 0);
        }
        sending.join().unwrap();
        assert!(got == sent && early > 0 && told > 0, "{early} early, {told} told");
        assert_eq!(wire.read_buf(&mut got).await.unwrap(), 0, "the peer has left");
    }
}
