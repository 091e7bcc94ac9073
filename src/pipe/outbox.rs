//! One pipe's outgoing queue, with its mark and the driver that empties it.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::commands::Commands;
use super::{Batch, Bell, Chunk, ChunkQueue, HighWater};
use crate::error::Disconnect;
use crate::message::Outgoing;
use crate::pool::Pool;
use crate::zmtp::{Command, Prefix};

/// The most that a driver takes at once: enough for a few writes, and little enough that what is under way
/// stays in cache.
const TAKE: usize = 128 * 1024;

/// More than this is deep: about what the cache of a core holds, so that what is written is still there. Twice as much lost
/// a twentieth at 256 KiB a message, four times as much a fifth between threads; half as much gained nothing.
const DEEP: usize = 1024 * 1024;

/// What the driver found.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Chunks or commands.
    Some,
    /// As above, and it is all there is: the driver's waker is kept, for it writes what it takes before it looks for more.
    All,
    /// The pipe is closing and everything has been written.
    Finished,
    /// The link must be given up now.
    Stop(Disconnect),
}

/// How a pipe ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Closing {
    /// It does not.
    Open,
    /// When everything queued has been written.
    Draining,
    /// At once.
    Now,
}

/// A wire pipe's outgoing side. Plain data under the socket's outbound lock.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: ChunkQueue,
    mark: HighWater,
    /// Keep only the newest message.
    conflate: bool,
    /// It refused a message and has not said since that there is room again.
    starved: bool,
    /// It was deep, and has not said since that it is not.
    deep: bool,
    /// The driver, asleep until there is something to write.
    driver: Option<Waker>,
    /// The driver, asleep until the kernel takes more: to be woken only if the link must be given up.
    blocked: Option<Waker>,
    bell: Bell,
    commands: Commands,
    closing: Closing,
    /// The present link must be given up, for this reason.
    stop: Option<Disconnect>,
    /// What is queued is for the present link only.
    discard: bool,
    /// Somebody writes what is queued, or is about to.
    driven: bool,
    /// Its waker is kept as soon as it has taken all.
    prompt: bool,
}

impl Outbox {
    pub(crate) fn new(mark: HighWater, conflate: bool, pool: &Pool) -> Self {
        Self::with_queue(ChunkQueue::new(pool), mark, conflate)
    }

    fn with_queue(queue: ChunkQueue, mark: HighWater, conflate: bool) -> Self {
        Self {
            queue,
            mark,
            conflate,
            starved: false,
            deep: false,
            driver: None,
            blocked: None,
            bell: Bell::default(),
            commands: Commands::default(),
            closing: Closing::Open,
            stop: None,
            discard: false,
            driven: false,
            prompt: false,
        }
    }

    /// Another one of the same kind, for another lane.
    pub(crate) fn sibling(&self) -> Self {
        Self { closing: self.closing, ..Self::with_queue(self.queue.sibling(), self.mark, self.conflate) }
    }

    pub(crate) const fn queue(&self) -> &ChunkQueue {
        &self.queue
    }

    /// Whether it keeps only the newest message.
    pub(crate) const fn conflates(&self) -> bool {
        self.conflate
    }

    /// Whether the pipe is to go on after what it holds.
    pub(crate) fn is_open(&self) -> bool {
        self.closing == Closing::Open
    }

    /// Whether a message would fit now, whoever has been told otherwise.
    pub(crate) fn fits(&self) -> bool {
        self.conflate || self.queue.room(self.mark) > 0
    }

    /// Whether a message may be pushed. If not, the pipe is starved until [`resumes`](Self::resumes).
    #[inline]
    pub(crate) fn has_room(&mut self) -> bool {
        let fits = self.fits();
        self.starved |= !fits;
        fits
    }

    /// Queues a message. Returns the driver, if it sleeps.
    #[inline(always)]
    pub(crate) fn push(&mut self, prefix: Prefix<'_>, message: &Outgoing<'_>) -> Option<Waker> {
        self.make_way();
        self.queue.push(prefix, message);
        self.wake()
    }

    /// Queues a message that was encoded once for so many peers.
    pub(crate) fn push_encoded(&mut self, encoded: &Bytes, peers: usize) -> Option<Waker> {
        self.make_way();
        self.queue.push_encoded(encoded, peers);
        self.wake()
    }

    /// The driver, if it sleeps: there is something for it.
    #[inline]
    fn wake(&mut self) -> Option<Waker> {
        let driver = self.driver.take();
        if driver.is_some() {
            self.bell.ring();
        }
        driver
    }

    fn make_way(&mut self) {
        if self.conflate {
            self.queue.clear();
        }
    }

    /// Queues a command. Returns the driver, if it sleeps. A peer that reads nothing loses its link.
    pub(crate) fn command(&mut self, command: Command) -> Option<Waker> {
        if self.commands.push(command) { self.wake() } else { self.give_up(Disconnect::NotReading) }
    }

    /// Takes what is queued, after handing back what the last batch freed.
    pub(crate) fn poll_take(
        &mut self,
        cx: &Context<'_>,
        batch: &mut Batch,
        commands: &mut Vec<Command>,
    ) -> Poll<Taken> {
        self.settle(batch);
        if let Some(why) = self.must_stop() {
            return Poll::Ready(Taken::Stop(why));
        }
        if !self.commands.is_empty() {
            self.commands.take(commands);
        }
        self.queue.take(batch.chunks(), if self.conflate { 1 } else { TAKE });
        let found = !batch.is_empty() || !commands.is_empty();
        if found && !(self.prompt && self.is_open() && self.queue.is_empty()) {
            return Poll::Ready(Taken::Some);
        }
        self.park(cx);
        if found {
            return Poll::Ready(Taken::All);
        }
        if self.closing == Closing::Draining { Poll::Ready(Taken::Finished) } else { Poll::Pending }
    }

    /// Takes the only chunk that is queued, of one run of up to `limit` bytes, for a driver that writes it at once, and
    /// leaves an empty one there. It is off the gauge, until a driver that could not write it all says so with its batch.
    /// False: there is none, or something else, and all is as it was.
    pub(crate) fn take_only(&mut self, cx: &Context<'_>, chunk: &mut Chunk, limit: usize) -> bool {
        let is_plain = self.prompt && self.is_open() && self.stop.is_none() && self.commands.is_empty();
        let taken = is_plain && self.queue.swap_only(chunk, limit);
        if taken {
            self.park(cx);
        }
        taken
    }

    /// Says whether the pipe must stop dialling: it closes and holds nothing, also not in `others`, or closes at once.
    pub(crate) fn poll_stop(&mut self, cx: &Context<'_>, others: &[Self]) -> Poll<()> {
        (self.stop, self.discard) = (None, false);
        match self.closing {
            Closing::Now => Poll::Ready(()),
            Closing::Draining if self.queue.is_empty() && !others.iter().any(Self::is_busy) => {
                Poll::Ready(())
            }
            Closing::Open | Closing::Draining => {
                self.park(cx);
                Poll::Pending
            }
        }
    }

    /// Why the link must be given up, though the kernel is full. If it need not, the driver is woken when it must.
    pub(crate) fn blocked(&mut self, cx: &Context<'_>) -> Option<Disconnect> {
        let why = self.must_stop();
        if why.is_none() {
            self.blocked = Some(cx.waker().clone());
        }
        why
    }

    fn must_stop(&mut self) -> Option<Disconnect> {
        if self.closing == Closing::Now { Some(Disconnect::Closed) } else { self.stop.take() }
    }

    fn park(&mut self, cx: &Context<'_>) {
        match &mut self.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Takes what the kernel has got off the gauge, or puts there what it has not got.
    pub(crate) fn settle(&mut self, batch: &mut Batch) {
        self.queue.settle(batch);
    }

    /// Whether a pipe that refused a message has room again, or one that was deep is so no more. Says so once.
    pub(crate) fn resumes(&mut self) -> bool {
        let resumes = self.starved && self.queue.is_low(self.mark);
        self.starved &= !resumes;
        // One that is still starved is as full of messages as before.
        let is_shallow = self.deep && !self.starved && self.queue.bytes() <= DEEP / 2;
        self.deep &= !is_shallow;
        resumes || is_shallow
    }

    /// Whether more waits here than is good, while somebody writes it. [`resumes`](Self::resumes) says when that is over.
    pub(crate) fn is_deep(&mut self) -> bool {
        let is_deep = self.driven && self.queue.bytes() > DEEP;
        self.deep |= is_deep;
        is_deep
    }

    /// The link is gone. What the peer did not get whole returns to the head, unless `keep` is false: then it
    /// is dropped with everything queued. Commands are dropped: the next greeting says them anew. Returns how
    /// many messages were dropped, and whether what is queued was kept.
    pub(crate) fn lost(&mut self, mut batch: Batch, keep: bool) -> (usize, bool) {
        batch.settle();
        self.settle(&mut batch);
        let (rest, settled) = batch.into_rest();
        if self.conflate && !self.queue.is_empty() {
            // Something newer waits already.
            let (messages, bytes) = rest.iter().fold((0, 0), |(m, b), c| (m + c.messages(), b + c.len()));
            self.queue.release(messages - settled.messages, bytes - settled.bytes);
        } else {
            self.queue.give_back(rest, settled.bytes, settled.messages);
        }
        self.commands.clear();
        // Of the link's driver, which may not be the next one's.
        (self.driver, self.blocked, self.stop) = (None, None, None);
        let keep = keep && !std::mem::take(&mut self.discard);
        (if keep { 0 } else { self.queue.clear() }, keep)
    }

    /// Closes, or closes faster. Returns the driver, if it sleeps.
    pub(crate) fn close(&mut self, closing: Closing) -> Option<Waker> {
        self.closing = self.closing.max(closing);
        self.rouse()
    }

    /// Ends the present link, and keeps what is queued for the next. Returns the driver, if it sleeps.
    pub(crate) fn give_up(&mut self, why: Disconnect) -> Option<Waker> {
        self.stop.get_or_insert(why);
        self.rouse()
    }

    /// Has the driver look here again. Returns it, if it sleeps.
    pub(crate) fn rouse(&mut self) -> Option<Waker> {
        self.bell.ring();
        self.blocked.take().or_else(|| self.driver.take())
    }

    /// Somebody writes what is queued. The bell tells whether to look here.
    pub(crate) fn drive(&mut self, prompt: bool) -> Bell {
        (self.driven, self.prompt) = (true, prompt);
        self.bell.clone()
    }

    /// Nobody writes any more.
    pub(crate) const fn leave(&mut self) {
        self.driven = false;
    }

    /// Whether there is something to be written, or that may not have arrived.
    pub(crate) fn is_busy(&self) -> bool {
        self.driven || !self.queue.is_empty()
    }

    /// Moves what waits here behind what waits in `other`.
    pub(crate) fn move_to(&mut self, other: &mut Self) {
        self.queue.move_to(&mut other.queue);
        // Whoever waits for room here waits for it there.
        other.starved |= std::mem::take(&mut self.starved);
    }

    /// Ends the present link. A dialled pipe gets a fresh one; what is queued for this one is dropped with it.
    pub(crate) fn stop(&mut self, why: Disconnect) -> Option<Waker> {
        self.discard = true;
        self.stop = Some(why);
        self.rouse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    #[test]
    fn an_outbox_that_was_deep_says_once_when_half_of_that_is_left_and_is_not_without_a_driver() {
        let mut outbox = Outbox::new(HighWater::default(), false, &Pool::default());
        let message = Message::from(vec![7; DEEP / 4]);
        (0..4).for_each(|_| drop(outbox.push(Prefix::NONE, &(&mut message.clone()).into())));
        assert!(!outbox.is_deep(), "nobody empties it");
        outbox.drive(false);
        assert!(outbox.is_deep());
        let mut batch = Batch::default();
        let resumes = [false; 4].map(|_| {
            outbox.queue.take(batch.chunks(), 1);
            batch.abandon();
            outbox.settle(&mut batch);
            assert!(!outbox.is_deep());
            outbox.resumes()
        });
        assert_eq!(resumes, [false, false, true, false], "the headers count");

        let few = HighWater::messages(100);
        let mut outbox = Outbox::new(few, false, &Pool::default());
        outbox.drive(false);
        outbox.push(Prefix::NONE, &(&mut Message::from(vec![7; 2 * DEEP])).into());
        (1..100).for_each(|_| drop(outbox.push(Prefix::NONE, &Outgoing::Bytes(b"small"))));
        assert!(outbox.is_deep() && !outbox.has_room());
        outbox.queue.take(batch.chunks(), 1);
        batch.abandon();
        outbox.settle(&mut batch);
        assert!(!outbox.resumes(), "it refused a message and holds as many but one");
    }

    /// One with a prompt driver, and what was pushed to it.
    fn prompt(bodies: &[&[u8]]) -> Outbox {
        let mut outbox = Outbox::new(HighWater::default(), false, &Pool::default());
        outbox.drive(true);
        bodies.iter().for_each(|body| drop(outbox.push(Prefix::NONE, &Outgoing::Bytes(body))));
        outbox
    }

    fn take_only(outbox: &mut Outbox) -> Option<Chunk> {
        let mut chunk = Chunk::default();
        let cx = Context::from_waker(Waker::noop());
        outbox.take_only(&cx, &mut chunk, 1000).then_some(chunk)
    }

    #[test]
    fn a_chunk_is_taken_alone_if_it_is_all_that_its_driver_must_hear_of() {
        assert!(take_only(&mut prompt(&[])).is_none(), "nothing waits");
        assert_eq!(take_only(&mut prompt(&[b"one"])).map(|chunk| chunk.messages()), Some(1));
        assert!(take_only(&mut prompt(&[b"one", b"two"])).is_none(), "they would overstep the mark");
        assert!(take_only(&mut prompt(&[&[0; 1000]])).is_none(), "it is too large");
        let but: [fn(&mut Outbox); 5] = [
            |outbox| drop(outbox.command(Command::Cancel("".into()))),
            |outbox| drop(outbox.close(Closing::Draining)),
            |outbox| drop(outbox.give_up(Disconnect::Closed)),
            |outbox| drop(outbox.drive(false)),
            |outbox| drop(outbox.push(Prefix::NONE, &(&mut Message::from(vec![0; 10_000])).into())),
        ];
        for (case, but) in but.into_iter().enumerate() {
            let mut outbox = prompt(&[b"one"]);
            but(&mut outbox);
            let before = outbox.queue.messages();
            assert!(take_only(&mut outbox).is_none(), "case {case}");
            assert_eq!(outbox.queue.messages(), before, "case {case}");
        }
    }

    #[test]
    fn what_was_taken_alone_counts_again_if_it_could_not_be_written() {
        let mut outbox = prompt(&[b"one"]);
        let chunk = take_only(&mut outbox).expect("one chunk");
        assert_eq!((outbox.queue.messages(), outbox.queue.bytes()), (0, 0));
        assert!(outbox.push(Prefix::NONE, &Outgoing::Bytes(b"two")).is_some(), "it is told of the next");
        let mut batch = Batch::default();
        batch.resume(chunk, 3);
        batch.settle();
        outbox.settle(&mut batch);
        assert_eq!((outbox.queue.messages(), outbox.queue.bytes()), (2, 5 + 5));
        assert_eq!(outbox.lost(batch, true), (0, true));
        assert_eq!((outbox.queue.messages(), outbox.queue.bytes()), (2, 5 + 5));
        assert_eq!(outbox.queue.pop_message(), Some("one".into()));
        assert_eq!(outbox.queue.pop_message(), Some("two".into()));
    }
}
