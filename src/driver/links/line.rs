//! A dialled link: a connected socket, from the first HELLO to the end.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant as Time};

use tokio::task::unconstrained;
use zocket_transport::{Datagrams, ReceiveBatch};

use super::peer::Peer;
use super::{Alarm, READ_BUDGET, ROUNDS, now};
use crate::driver::packets::{Packets, Rest, is_no_way, is_nobody_there, lend};
use crate::driver::{Ends, Port, Remains};
use crate::error::Disconnect;
use crate::pipe::PipeId;
use crate::zmtp::PeerInfo;
use crate::zmtp::datagram::Link;
use crate::zmtp::datagram::hello::{Answer, Caller};

/// So many errors without a datagram in between are no passing trouble.
const FAULTS: u32 = 16;

/// And so many times that nobody is there: once may be about an earlier listener, or somebody's invention.
const REFUSALS: u32 = 2;

/// How long nothing is sent when there is no way: what a plug that is in again costs at most.
const NO_WAY: Duration = Duration::from_millis(100);

struct Line {
    wire: Box<dyn Datagrams>,
    alarm: Alarm,
    rest: Rest,
    /// Errors since a datagram arrived.
    faults: u32,
    /// And those of them that say that nobody is there.
    refusals: u32,
    /// The peer was there once.
    is_met: bool,
    /// There is no way: when one is looked for again.
    retry: Option<Time>,
    /// What came together with the answer to our call.
    early: Vec<Vec<u8>>,
}

/// Drives a dialled link to its end. Returns why it ended, and what is left.
pub(in crate::driver) async fn call(
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    ends: Ends,
) -> (Disconnect, Remains) {
    let id = match getrandom::u64() {
        Ok(id) => id,
        Err(error) => return (io::Error::from(error).into(), Remains::default()),
    };
    let mut line = Line {
        wire,
        alarm: Alarm::default(),
        rest: None,
        faults: 0,
        refusals: 0,
        is_met: false,
        retry: None,
        early: Vec::new(),
    };
    let mut caller = Caller::new(port.engine_config(), id, now());
    // Under budgets of our own: tokio's is spent by what is written, and then nothing could be read.
    let answered = unconstrained(poll_fn(|cx| line.poll_call(&mut caller, &*port, pipe, cx))).await;
    let opened = answered.and_then(|(info, link)| Peer::open(link, info, port, pipe, ends, None));
    let mut peer = match opened {
        Ok(peer) => peer,
        Err(why) => {
            let mut packets = Packets::default();
            packets.put(None, |out| caller.put_bye(out));
            line.send_last(&mut packets).await;
            return (why, Remains::default());
        }
    };
    let why = unconstrained(poll_fn(|cx| line.poll_talk(&mut peer, cx))).await;
    // What the kernel has not got is for the next link.
    let mut packets = Packets::default();
    let (_, remains) = peer.leave(&mut packets, &why);
    line.send_last(&mut packets).await;
    (why, remains)
}

impl Line {
    /// Sends what is said at the end, if the kernel takes it at once.
    async fn send_last(&self, packets: &mut Packets) {
        poll_fn(|cx| {
            drop(packets.poll_flush(&*self.wire, cx, |_| {}));
            Poll::Ready(())
        })
        .await;
    }

    fn poll_call(
        &mut self,
        caller: &mut Caller,
        port: &dyn Port,
        pipe: PipeId,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(PeerInfo, Link), Disconnect>> {
        if port.poll_stop(pipe, cx).is_ready() {
            return Poll::Ready(Err(Disconnect::Closed));
        }
        let mut rest = self.rest.take();
        let answered = lend(&mut rest, |packets, room| self.ask(caller, packets, room, cx));
        // If the kernel is full, another HELLO follows.
        drop(rest);
        match answered {
            Ok(Some(Answer::Accepted(met))) => Poll::Ready(Ok(*met)),
            Ok(Some(Answer::Refused(why))) => Poll::Ready(Err(Disconnect::PeerRefused(why))),
            Ok(None) => Poll::Pending,
            Err(why) => Poll::Ready(Err(why)),
        }
    }

    fn ask(
        &mut self,
        caller: &mut Caller,
        packets: &mut Packets,
        room: &mut ReceiveBatch,
        cx: &mut Context<'_>,
    ) -> Result<Option<Answer>, Disconnect> {
        for _ in 0..READ_BUDGET {
            let now = now();
            caller.handle_timeout(now)?;
            packets.put(None, |out| caller.poll_packet(out, now));
            let mut fault = None;
            let flushed = packets.poll_flush(&*self.wire, cx, |gone| fault = gone.sent.err());
            if let Poll::Ready(Err(error)) = flushed {
                return Err(error.into());
            }
            fault.map_or(Ok(()), |fault| self.fault(fault))?;
            if self.poll_receive(room, cx)?.is_ready() {
                let mut arrived = room.iter().map(|(_, packet)| packet);
                while let Some(packet) = arrived.next() {
                    if let Some(answer) = caller.handle(packet, now)? {
                        self.early = arrived.map(<[u8]>::to_vec).collect();
                        self.is_met = true;
                        return Ok(Some(answer));
                    }
                }
            } else if self.alarm.poll(caller.poll_timeout(), cx).is_pending() {
                return Ok(None);
            }
        }
        cx.waker().wake_by_ref();
        Ok(None)
    }

    fn poll_talk(&mut self, peer: &mut Peer, cx: &mut Context<'_>) -> Poll<Disconnect> {
        let mut rest = self.rest.take();
        let talked = lend(&mut rest, |packets, room| self.talk(peer, packets, room, cx));
        self.rest = rest;
        talked.map_or_else(Poll::Ready, |()| Poll::Pending)
    }

    fn talk(
        &mut self,
        peer: &mut Peer,
        packets: &mut Packets,
        room: &mut ReceiveBatch,
        cx: &mut Context<'_>,
    ) -> Result<(), Disconnect> {
        for packet in std::mem::take(&mut self.early) {
            peer.hear(&packet, cx, now())?;
        }
        for _ in 0..ROUNDS {
            let (now, before) = (now(), self.refusals);
            peer.tick(now)?;
            let is_free = self.flush(peer, packets, cx, now)?;
            let mut more = is_free && peer.write(packets, cx, now)?;
            let is_free = is_free && self.flush(peer, packets, cx, now)?;
            more &= is_free;
            let mut read = 0;
            while read < READ_BUDGET && self.poll_receive(room, cx)?.is_ready() {
                for (_, packet) in room.iter() {
                    peer.hear(packet, cx, now)?;
                    read += 1;
                }
            }
            if self.refusals > before {
                // Whoever is there answers.
                peer.link.ask();
            }
            more |= is_free && peer.link.is_owing();
            let next = peer.link.poll_timeout().into_iter().chain(self.retry).min();
            if !more && read < READ_BUDGET && self.alarm.poll(next, cx).is_pending() {
                return Ok(());
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// False: the kernel is full, or there is no way, which the heartbeat may end.
    fn flush(
        &mut self,
        peer: &mut Peer,
        packets: &mut Packets,
        cx: &mut Context<'_>,
        now: Time,
    ) -> Result<bool, Disconnect> {
        self.retry.take_if(|at| *at <= now);
        while self.retry.is_none() {
            match packets.poll_flush(&*self.wire, cx, |gone| peer.gone(&gone)) {
                Poll::Ready(Ok(())) => return Ok(true),
                Poll::Ready(Err(error)) if is_nobody_there(&error) => self.fault(error)?,
                Poll::Ready(Err(error)) if is_no_way(&error) => self.retry = now.checked_add(NO_WAY),
                Poll::Ready(Err(error)) => return Err(error.into()),
                Poll::Pending => break,
            }
        }
        peer.blocked(cx).map(|()| false)
    }

    fn poll_receive(
        &mut self,
        room: &mut ReceiveBatch,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Disconnect> {
        loop {
            match self.wire.poll_receive(cx, room) {
                Poll::Ready(Ok(())) => {
                    (self.faults, self.refusals) = (0, 0);
                    return Ok(Poll::Ready(()));
                }
                Poll::Ready(Err(error)) => self.fault(error)?,
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// Nobody is there, says the system; or something else. Either may pass.
    fn fault(&mut self, error: io::Error) -> Result<(), Disconnect> {
        self.faults += 1;
        self.refusals += u32::from(is_nobody_there(&error));
        let most = if self.is_met { REFUSALS } else { 1 };
        if self.refusals >= most || self.faults > FAULTS { Err(error.into()) } else { Ok(()) }
    }
}
