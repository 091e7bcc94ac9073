//! Writing and reading in the driver's stead, where there is nothing to batch.
//!
//! A REQ sends one message and waits, and so its peer has one reply to send. Waking a task to write it costs a
//! fourteenth of a lone round trip's instructions, and a third of its time where the sender is no task of the
//! runtime, for then another thread must wake. So the waker that such a connection leaves in its outbox does not wake
//! its task, it writes; and the one that it leaves at its wire reads, and wakes who waits for the message.
//!
//! Wakers are fired when no lock of a socket is held, and the connection's is only tried; a wire must have said that it
//! holds none of its own. Whatever does not go at once is left to the task, and so is what is large: the sender's thread,
//! and the event loop's, is not ours to keep.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::AsyncWrite;
use zocket_transport::{Link, Wire};

use super::{Connection, Phase};
use crate::driver::alarm::now;
use crate::driver::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::pipe::{Chunk, PipeId};
use crate::sync::lock;
use crate::zmtp::Engine;

/// So much is copied to or from the kernel in about the time that it takes to wake a task.
const LITTLE: usize = 64 * 1024;

/// A connection, driven by the task that holds this. Others may write and read in its stead.
#[derive(Debug)]
pub(crate) struct Driven(Arc<Mutex<Connection>>);

impl Driven {
    pub(crate) fn new(
        link: Link,
        port: Arc<dyn Port>,
        ends: Ends,
        pipe: Option<PipeId>,
    ) -> Result<Self, Disconnect> {
        let Wire::Stream(wire) = link.wire else {
            let text = "this kind of wire is not supported";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text).into());
        };
        let mut config = port.engine_config();
        if link.packets.is_some() || link.oneways.is_some() {
            let config = Arc::make_mut(&mut config);
            config.extras.datagrams = link.packets.is_some();
            if link.oneways.is_some() {
                config.extras.latest = port.options().latest(config.kind);
            }
        }
        let engine = Engine::new(config, now());
        let connection = |this: &Weak<_>| {
            let mut connection = Connection::new(wire, port, ends, pipe, this.clone(), engine);
            (connection.closer, connection.proof) = (link.closer, link.proof);
            connection.wakes_unlocked = link.wakes_unlocked;
            (connection.streams, connection.tracker) = (link.streams, link.tracker);
            (connection.packets, connection.oneways) = (link.packets, link.oneways);
            Mutex::new(connection)
        };
        Ok(Self(Arc::new_cyclic(connection)))
    }

    /// Resolves when the handshake is over, one way or the other.
    pub(crate) async fn handshake(&self) {
        poll_fn(|cx| lock(&self.0).poll_handshake(cx)).await;
    }

    /// Resolves when the connection has ended.
    pub(crate) async fn end(&self) -> Disconnect {
        let why = poll_fn(|cx| lock(&self.0).poll_end(cx)).await;
        let lanes = std::mem::take(&mut lock(&self.0).lanes);
        if lanes.any() {
            // On the heap, since a thousand connections without lanes would each have room for it.
            let ending = async move {
                lanes.end(&why).await;
                why
            };
            return Box::pin(ending).await;
        }
        why
    }

    /// Who is at its two ends now.
    pub(crate) fn ends(&self) -> Ends {
        lock(&self.0).ends.clone()
    }

    /// What is left when the connection has ended.
    pub(crate) fn take_remains(&self) -> Remains {
        lock(&self.0).take_remains()
    }
}

/// The wakers of a connection that sends a message at a time. They do its work, and wake its task with what is left.
#[derive(Debug)]
pub(super) struct Wakers {
    task: Waker,
    /// For its outbox.
    pub(super) write: Waker,
    /// For its wire.
    pub(super) read: Waker,
    /// What is being written. Empty in between, with memory for the next. A wire that panics then loses it.
    chunk: Chunk,
}

/// A connection that writes, or reads, when it is woken.
struct Prompt {
    connection: Weak<Mutex<Connection>>,
    task: Waker,
    /// Does it, if that is quickly done. `false`: the task must be woken. The context is the task's.
    work: fn(&mut Connection, &mut Context<'_>) -> bool,
}

impl Prompt {
    fn work(&self) -> bool {
        let Some(connection) = self.connection.upgrade() else { return false };
        let Ok(mut connection) = connection.try_lock() else { return false };
        // Tokio's budget is the sender's. Were it spent, the kernel would not be asked, and our task would be woken
        // when the sender waits: never, if its runtime stops running it here.
        let work = poll_fn(|cx| Poll::Ready((self.work)(&mut connection, cx)));
        pin!(tokio::task::unconstrained(work)).poll(&mut Context::from_waker(&self.task)) == Poll::Ready(true)
    }
}

/// Wakes the task, also if the work panics, unless it is forgotten.
struct WakeOnDrop<'a>(&'a Waker);

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        self.0.wake_by_ref();
    }
}

impl Wake for Prompt {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = WakeOnDrop(&self.task);
        if self.work() {
            std::mem::forget(task);
        }
    }
}

impl Connection {
    /// Writes in the task's stead, if that is quickly done. `cx` is the task's. False: the task must be woken.
    fn write_now(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase != Phase::Traffic || self.ended.is_some() {
            return false;
        }
        let written = self.write_little(cx).or_else(|why| self.unheard(why, cx));
        let is_done = matches!(written, Ok(true));
        self.ended = written.err();
        // With busy polling the task is woken all the same, for it looks for the answer.
        is_done && !self.lookout.is_on() && !self.port.pool().is_unwatched()
    }

    /// Writes what is queued if it is little, or as much of it as the kernel takes.
    fn write_little(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        if !self.batch.is_empty() || self.engine.owes() {
            return Ok(false);
        }
        if self.write_only(cx)? {
            return Ok(true);
        }
        if self.batch.is_empty() && self.poll_work(cx)?.is_pending() {
            return Ok(true);
        }
        if self.engine.owes() || self.batch.len() > LITTLE {
            return Ok(false);
        }
        while !self.batch.is_empty() {
            if self.write_batch(cx)?.is_pending() {
                return self.blocked(cx);
            }
        }
        Ok(self.poll_work(cx)?.is_pending())
    }

    /// Writes the only chunk that is queued, as nearly always there is one: half of what it takes to have it in a batch
    /// first. False: there was none, or the kernel did not take all of it, and the rest is in the batch.
    fn write_only(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        let (Some(pipe), Some(prompt)) = (self.pipe, &mut self.prompt) else { return Ok(false) };
        let Wakers { write, chunk, .. } = &mut **prompt;
        // What rings from here on is not in what we take.
        _ = self.bell.has_rung();
        let kept = Context::from_waker(write);
        self.asleep = self.port.take_only(pipe.lane(self.number), &kept, chunk, LITTLE);
        if !self.asleep {
            return Ok(false);
        }
        let [bytes, _] = chunk.parts();
        let written = match Pin::new(&mut self.wire).poll_write(cx, bytes) {
            Poll::Ready(Ok(0)) => Err(Disconnect::PeerClosed),
            Poll::Ready(written) => written.map_err(Into::into),
            Poll::Pending => Ok(0),
        };
        if matches!(written, Ok(bytes) if bytes > 0) {
            self.lookout.wrote();
        }
        if matches!(written, Ok(bytes) if bytes == chunk.len()) {
            chunk.renew();
            return Ok(true);
        }
        self.batch.resume(std::mem::take(chunk), *written.as_ref().unwrap_or(&0));
        if written.is_err() {
            // Else it would be on no gauge until the task has run.
            self.port.settle(pipe.lane(self.number), &mut self.batch);
        }
        written.map(|_| false)
    }

    /// Reads up to a budget of bytes, and leaves the waker that reads at the wire, if there is one. `cx` is the task's.
    pub(super) fn read(&mut self, budget: &mut usize, cx: &mut Context<'_>) -> Result<bool, Disconnect> {
        // With busy polling our task looks by itself.
        if !self.wakes_unlocked || self.lookout.is_on() {
            return self.read_with(budget, cx);
        }
        let Some(prompt) = self.prompt.take() else { return self.read_with(budget, cx) };
        let more = self.read_with(budget, &mut Context::from_waker(&prompt.read));
        self.prompt = Some(prompt);
        more
    }

    /// Reads in the task's stead, if that is quickly done. `cx` is the task's. False: the task must be woken.
    fn read_now(&mut self, cx: &mut Context<'_>) -> bool {
        if self.phase != Phase::Traffic || self.ended.is_some() || self.missing() > 0 {
            return false;
        }
        let mut budget = LITTLE;
        let read = self.read(&mut budget, cx);
        if budget < LITTLE {
            self.track_peer();
        }
        match read {
            Ok(more) => !more && !self.is_owing() && !self.port.pool().is_unwatched(),
            Err(why) => {
                self.last_words(&why, cx);
                self.ended = Some(why);
                false
            }
        }
    }

    /// Whether what was read has left something to do: to write, to read soon, or to be woken sooner than will be.
    fn is_owing(&self) -> bool {
        self.owes() || self.missing() > 0 || !self.alarm.is_armed_for(self.engine.poll_timeout())
    }

    /// Makes the wakers that work, if there are any to be and none of this task.
    pub(super) fn renew_prompt(&mut self, task: &Waker) {
        if self.is_prompt && !self.prompt.as_ref().is_some_and(|old| old.task.will_wake(task)) {
            let waker = |work| {
                Waker::from(Arc::new(Prompt { connection: self.this.clone(), task: task.clone(), work }))
            };
            let (write, read) = (waker(Self::write_now), waker(Self::read_now));
            self.prompt = Some(Box::new(Wakers { task: task.clone(), write, read, chunk: Chunk::default() }));
        }
    }
}
