//! DISH, and SUB at a multicast group: whoever sends there is heard.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant as Time;

use bytes::BytesMut;
use tokio::time;
use zocket_transport::{Datagrams, Endpoint, ReceiveBatch};

use super::{Gate, READ_BUDGET, open, poll_take, report_dropped, report_missed};
use crate::driver::accept::Retries;
use crate::driver::alarm::{Alarm, now};
use crate::driver::packets::lend;
use crate::driver::{Ends, Port};
use crate::error::Disconnect;
use crate::event::{Dropped, Event};
use crate::pipe::{Apart, Batch, PipeId};
use crate::zmtp::datagram::publication::{Audience, Heard};
use crate::zmtp::frame::first_body;
use crate::zmtp::{Config, SocketKind, radio};

/// Receives at a bound address until it is aborted, or the socket closes.
pub(in crate::driver) async fn receive(wire: Box<dyn Datagrams>, port: Arc<dyn Port>, endpoint: Endpoint) {
    let Some(pipe) = port.attach(&endpoint, 1, Apart::Nothing) else { return };
    let config = port.engine_config();
    let (hearing, speaker) = match config.kind {
        SocketKind::Dish => (Hearing::Dish(BytesMut::new()), SocketKind::Radio),
        _ => (Hearing::Audience(Audience::default()), SocketKind::Pub),
    };
    let gate = Gate::new(Arc::clone(&port), pipe.lane(0));
    let _attached = Attached { port: Arc::clone(&port), pipe };
    let alarm = Alarm::default();
    let mut receiver =
        Receiver { wire, gate, port, pipe, config, hearing, alarm, garbled: 0, crowded: 0, _attached };
    let ends = Ends { endpoint: endpoint.clone(), peer: endpoint.clone() };
    if open(&*receiver.port, pipe, speaker, ends).is_err() {
        return;
    }
    let mut retries = Retries::default();
    loop {
        let ended = poll_fn(|cx| receiver.poll(cx, &mut retries)).await;
        let reason @ Disconnect::Io(_) = ended else { return };
        let retry_after = retries.next();
        receiver.port.report(Event::AcceptFailed { endpoint: endpoint.clone(), reason, retry_after });
        time::sleep(retry_after).await;
    }
}

/// How datagrams become messages.
enum Hearing {
    /// As libzmq has it. With a message's frames.
    Dish(BytesMut),
    Audience(Audience<SocketAddr>),
}

/// What arrives at a bound address.
struct Receiver {
    wire: Box<dyn Datagrams>,
    port: Arc<dyn Port>,
    pipe: PipeId,
    config: Arc<Config>,
    gate: Gate,
    hearing: Hearing,
    alarm: Alarm,
    /// Datagrams that were none of a speaker's, and have not been reported.
    garbled: u64,
    /// And messages of speakers for whom there was no place.
    crowded: u64,
    /// Last, after everything is told.
    _attached: Attached,
}

/// The pipe of a bound address. Goes with its task, which may be dropped where it stands.
struct Attached {
    port: Arc<dyn Port>,
    pipe: PipeId,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.port.detach(self.pipe);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Hearing::Audience(audience) = &mut self.hearing {
            let missed = audience.finish();
            report_missed(&*self.port, self.pipe, missed);
        }
    }
}

impl Receiver {
    /// Ready when the system reports a fault, or the socket closes.
    fn poll(&mut self, cx: &mut Context<'_>, retries: &mut Retries) -> Poll<Disconnect> {
        let mut unheard = Batch::default();
        while let Poll::Ready(taken) = poll_take(&*self.port, self.pipe, cx, &mut unheard) {
            if let Err(why) = taken {
                return Poll::Ready(why);
            }
            // Nobody hears what an XSUB sent before it knew.
            unheard.advance(unheard.len());
        }
        loop {
            let received = lend(&mut None, |_, room| self.poll_datagrams(cx, room, retries));
            let garbled = std::mem::take(&mut self.garbled);
            report_dropped(&*self.port, self.pipe, garbled, Dropped::Malformed);
            let crowded = std::mem::take(&mut self.crowded);
            report_dropped(&*self.port, self.pipe, crowded, Dropped::Crowded);
            let Hearing::Audience(audience) = &mut self.hearing else {
                return received.map(Disconnect::from);
            };
            let missed = audience.handle_timeout(now());
            let due = audience.poll_timeout();
            report_missed(&*self.port, self.pipe, missed);
            if received.is_ready() || self.alarm.poll(due, cx).is_pending() {
                return received.map(Disconnect::from);
            }
        }
    }

    fn poll_datagrams(
        &mut self,
        cx: &mut Context<'_>,
        room: &mut ReceiveBatch,
        retries: &mut Retries,
    ) -> Poll<io::Error> {
        self.gate.look(cx);
        let mut read = 0;
        while read < READ_BUDGET {
            match self.wire.poll_receive(cx, room) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Ready(Ok(())) => retries.reset(),
            }
            let now = now();
            for (from, datagram) in room.iter() {
                self.hear(datagram, from.peer, cx, now);
                read += 1;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn hear(&mut self, datagram: &[u8], from: SocketAddr, cx: &Context<'_>, now: Time) {
        match &mut self.hearing {
            Hearing::Dish(frames) => {
                frames.clear();
                if datagram.len() as u64 <= self.config.max_message_bytes
                    && radio::put_frames(frames, datagram)
                {
                    return self.gate.deliver(frames, cx);
                }
            }
            Hearing::Audience(audience) => match audience.handle(datagram, from, &self.config, now) {
                Heard::Message(frames) => {
                    if self.port.wants(first_body(frames)) {
                        self.gate.deliver(frames, cx);
                    }
                    return;
                }
                Heard::Nothing => return,
                Heard::Crowded => {
                    self.crowded += 1;
                    return;
                }
                Heard::Malformed => {}
            },
        }
        self.garbled += 1;
    }
}
