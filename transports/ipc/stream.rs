//! A Unix-domain stream that hears of room only when it has been full.
//!
//! Each time that a peer reads, the kernel tells whoever watches the other end for room, and tokio's streams always do: so
//! whoever sent a message is woken when it is read, for nothing, and once more for the answer. This one watches for what
//! can be read and nothing else, until the kernel takes no more: then it becomes one of tokio's, for good. On one core a
//! round trip takes 0.77 of the time, and between two, with worker threads, 0.7. With one thread in each process it takes
//! 1.3 times as long between two idle cores, if the peer answers at once: the vain wake had roused the other core by then.
//!
//! Source: `unix_write_space` in Linux's net/unix/af_unix.c.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::runtime::Handle;

/// A peer that is gone is an error of the call, and no signal. Other systems are told so when a socket is made.
#[cfg(any(target_os = "linux", target_os = "android"))]
const FLAGS: c_int = nix::libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const FLAGS: c_int = 0;

#[derive(Debug)]
pub(super) struct Quiet {
    state: State,
    /// Whoever waits for something to read.
    reader: Option<Waker>,
    /// Whoever sends may be on a thread of no runtime.
    runtime: Handle,
}

#[derive(Debug)]
enum State {
    /// Of tokio's types the one that reads any descriptor and watches for that alone. It reads by read(2), which to a
    /// stream is recv(2) without flags.
    Quiet(pipe::Receiver),
    Plain(UnixStream),
    /// The kernel would not watch it.
    Gone,
}

impl Quiet {
    /// Only inside a runtime.
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        let quiet = pipe::Receiver::from_owned_fd_unchecked(OwnedFd::from(stream.into_std()?))?;
        Ok(Self { state: State::Quiet(quiet), reader: None, runtime: Handle::current() })
    }

    /// Writes while the kernel takes something. `None`: it takes no more, and the stream is one of tokio's.
    fn write(&mut self, write: impl FnOnce(SockRef<'_>) -> io::Result<usize>) -> Option<io::Result<usize>> {
        let State::Quiet(quiet) = &self.state else { return None };
        match write(SockRef::from(quiet)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.become_plain().err().map(Err),
            written => Some(written),
        }
    }

    fn become_plain(&mut self) -> io::Result<()> {
        if let State::Quiet(quiet) = std::mem::replace(&mut self.state, State::Gone) {
            let _entered = self.runtime.enter();
            let stream = StdStream::from(quiet.into_nonblocking_fd()?);
            self.state = State::Plain(UnixStream::from_std(stream)?);
            // It has to wait there anew.
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        Ok(())
    }

    fn plain(&mut self) -> io::Result<Pin<&mut UnixStream>> {
        match &mut self.state {
            State::Plain(stream) => Ok(Pin::new(stream)),
            State::Quiet(_) | State::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Quiet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let State::Quiet(quiet) = &mut this.state else { return this.plain()?.poll_read(cx, buf) };
        let read = Pin::new(quiet).poll_read(cx, buf);
        if read.is_pending() {
            match &mut this.reader {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        read
    }
}

impl AsyncWrite for Quiet {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.write(|socket| socket.send_with_flags(buf, FLAGS)) {
            Some(written) => Poll::Ready(written),
            None => self.plain()?.poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.write(|socket| socket.send_vectored_with_flags(slices, FLAGS)) {
            Some(written) => Poll::Ready(written),
            None => self.plain()?.poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was written is the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.state {
            State::Quiet(quiet) => Poll::Ready(SockRef::from(quiet).shutdown(Shutdown::Write)),
            State::Plain(_) | State::Gone => self.plain()?.poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, RawFd};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair() -> (Quiet, StdStream) {
        let (ours, theirs) = StdStream::pair().unwrap();
        theirs.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        ours.set_nonblocking(true).unwrap();
        (Quiet::new(UnixStream::from_std(ours).unwrap()).unwrap(), theirs)
    }

    fn descriptor(stream: &Quiet) -> RawFd {
        match &stream.state {
            State::Quiet(quiet) => quiet.as_raw_fd(),
            State::Plain(stream) => stream.as_raw_fd(),
            State::Gone => panic!("it is gone"),
        }
    }

    /// Of Linux's <sys/epoll.h>.
    const EPOLLOUT: u32 = 4;

    /// Whether an event loop of this process watches the stream for room. `None`: the system does not tell.
    fn watches_for_room(stream: &Quiet) -> Option<bool> {
        let target = descriptor(stream).to_string();
        let mut found = None;
        for entry in std::fs::read_dir("/proc/self/fdinfo").ok()? {
            // Others come and go meanwhile.
            let Ok(info) = std::fs::read_to_string(entry.ok()?.path()) else { continue };
            for line in info.lines() {
                let words: Vec<_> = line.split_whitespace().collect();
                if let ["tfd:", watched, "events:", events, ..] = words[..]
                    && watched == target
                {
                    let events = u32::from_str_radix(events, 16).unwrap();
                    found = Some(found.unwrap_or(false) | (events & EPOLLOUT != 0));
                }
            }
        }
        found
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Writes until the kernel takes no more. Returns how much it took.
    fn fill(stream: &mut Quiet, cx: &mut Context<'_>) -> usize {
        let mut taken = 0;
        while let Poll::Ready(written) = Pin::new(&mut *stream).poll_write(cx, &[7; 1000]) {
            taken += written.unwrap();
        }
        taken
    }

    #[tokio::test]
    async fn room_is_not_watched_for_until_the_kernel_is_full() {
        let (mut ours, mut theirs) = pair();
        let Some(watches) = watches_for_room(&ours) else {
            return println!("skipped: this system does not tell what an event loop watches");
        };
        assert!(!watches);
        let mut word = [0; 4];
        for _ in 0..3 {
            ours.write_all(b"word").await.unwrap();
            theirs.read_exact(&mut word).unwrap();
            theirs.write_all(&word).unwrap();
            ours.read_exact(&mut word).await.unwrap();
        }
        assert_eq!(watches_for_room(&ours), Some(false));
        let taken = fill(&mut ours, &mut Context::from_waker(Waker::noop()));
        assert_eq!(watches_for_room(&ours), Some(true));
        theirs.read_exact(&mut vec![0; taken]).unwrap();
        ours.write_all(b"more").await.unwrap();
        theirs.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"more");
    }

    #[tokio::test]
    async fn who_waits_to_read_still_hears_when_the_kernel_was_full() {
        let (mut ours, mut theirs) = pair();
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut room = [0; 10];
        let read =
            Pin::new(&mut ours).poll_read(&mut Context::from_waker(&waker), &mut ReadBuf::new(&mut room));
        assert!(read.is_pending());
        // On a thread that no runtime has heard of.
        let filling = std::thread::spawn(move || {
            fill(&mut ours, &mut Context::from_waker(Waker::noop()));
            ours
        });
        let mut ours = filling.join().unwrap();
        assert_eq!(count.0.load(Ordering::SeqCst), 1, "it has to ask again");
        let mut reading = tokio::spawn(async move {
            let mut word = [0; 4];
            ours.read_exact(&mut word).await.map(|_| word)
        });
        assert!(poll_fn(|cx| Poll::Ready(Pin::new(&mut reading).poll(cx).is_pending())).await);
        theirs.write_all(b"word").unwrap();
        let read = tokio::time::timeout(Duration::from_secs(20), reading).await;
        assert_eq!(&read.unwrap().unwrap().unwrap(), b"word");
    }
}
