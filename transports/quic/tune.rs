//! The numbers of a connection: windows, signs of life, limits.

use std::sync::Arc;
use std::time::Duration;

use quinn::{IdleTimeout, TransportConfig, VarInt};

use crate::{KeepAlive, LinkOptions, Liveness};

/// How many bytes of a lane may wait to be read at one end, and as many to be acknowledged at the other: 1 MiB, which
/// fills 800 Mbit/s at a round trip of 10 ms, or 80 at 100. A peer that is not read makes us hold no more. The
/// connection's window is that of all its streams together, so that those which stall never use it up.
///
/// *Tried:* with 512 KiB, and with 4 MiB, messages of 32 KiB were no faster, by the median of six pairs a tenth slower.
const WINDOW: usize = 1 << 20;

/// The least that either can be: a packet.
const LEAST: usize = 1200;

/// How many bytes of packets beside the streams may wait to be read. Nothing holds their sender back, so when there are
/// more the oldest are dropped: enough for a burst of 50 full ones until their task gets its turn. Small ones each keep
/// what they came in, so that a peer with which packets were not agreed on, and which are therefore not read, may make us
/// hold up to 3 MiB.
const PACKETS_IN: usize = 64 * 1024;

/// And how many to be sent. Behind that is the queue of whoever sends, which says what it drops; so it is no more than
/// keeps the network busy between two turns of its task.
const PACKETS_OUT: usize = 64 * 1024;

/// How many streams of one direction a peer may have open, once it was agreed that there are such: so many small messages
/// may be under way, within a round trip.
pub(super) const ONEWAYS: u32 = 128;

/// And of how many of them the connection's window has room: the one that is being written, the one before it, whose end
/// may be lost under way, and one that was cut off. They are always read, so none of them stalls.
const ONEWAY_WINDOWS: u64 = 3;

/// What the kernel should buffer for all the links of a UDP socket, in packets that have arrived or are to leave. The
/// usual default of 208 KiB loses packets of a single link whose window is open. The system may allow less.
pub(super) const SOCKET_BUFFER: usize = 4 * WINDOW;

/// The guess at a round trip before the first was measured, of which three is the first wait for an answer: a peer
/// that was not there at first is asked again after 0.3 s and not after one, as RFC 9002 has it. Farther peers than
/// that cost a packet or two.
const FIRST_RTT: Duration = Duration::from_millis(100);

/// Packets that a peer may send before it is accepted: those of a handshake's first flight.
pub(super) const UNPROVEN_BYTES: u64 = 8 * 1024;

/// From so many unfinished handshakes on, an unproven address first has to show that it can be answered (RFC 9000,
/// section 8.1.2), which costs it a round trip and us no memory.
pub(super) const BUSY: usize = 64;

/// Who is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Opens the lanes.
    Client,
    Server,
}

/// *Tried:* packets of 6500 bytes to peers on this machine, which make messages of 1 KiB twice as fast there. Then the
/// end of a connection, sent while the size was being tried, left too late where the runtime ended right behind it.
pub(super) fn transport(options: &LinkOptions, side: Side) -> Arc<TransportConfig> {
    let lanes = u64::from(options.lanes.count());
    let receive = u32::try_from(window(options.receive_buffer)).unwrap_or(u32::MAX);
    let send = u64::try_from(window(options.send_buffer)).unwrap_or(u64::MAX);
    let streams = if side == Side::Server { options.lanes.count() } else { 0 };
    let (keep_alive, idle) = liveness(options);
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(receive.into())
        .receive_window(receive_window(options, 0))
        .send_window(send.saturating_mul(lanes))
        .datagram_receive_buffer_size(options.datagrams.then_some(PACKETS_IN))
        .datagram_send_buffer_size(PACKETS_OUT)
        .initial_rtt(FIRST_RTT)
        .keep_alive_interval(keep_alive)
        .max_idle_timeout(idle);
    Arc::new(config)
}

/// What the connection takes in all its streams, so many of one direction with them.
fn receive_window(options: &LinkOptions, oneways: u64) -> VarInt {
    let stream = u64::try_from(window(options.receive_buffer)).unwrap_or(u64::MAX);
    let streams = u64::from(options.lanes.count()) + oneways;
    VarInt::from_u64(stream.saturating_mul(streams)).unwrap_or(VarInt::MAX)
}

/// The connection's window where the peer may open streams of one direction.
pub(super) fn window_with_oneways(options: &LinkOptions) -> VarInt {
    receive_window(options, ONEWAY_WINDOWS)
}

fn window(bytes: Option<usize>) -> usize {
    bytes.unwrap_or(WINDOW).max(LEAST)
}

/// How often we say that we live, and how much silence of the peer's ends the connection.
fn liveness(options: &LinkOptions) -> (Option<Duration>, Option<IdleTimeout>) {
    let (interval, silence) = match (options.liveness, options.keep_alive) {
        (Some(Liveness { interval, timeout }), _) => (interval, interval.saturating_add(timeout)),
        (None, KeepAlive::On { idle, interval, count }) => {
            let interval = interval.unwrap_or(Duration::from_secs(15));
            let probing = interval.saturating_mul(count.unwrap_or(4));
            (interval, idle.unwrap_or(Duration::from_secs(60)).saturating_add(probing))
        }
        (None, KeepAlive::Off | KeepAlive::System) => return (None, None),
    };
    // Beyond what can be said it is for ever.
    (Some(interval), IdleTimeout::try_from(silence).ok())
}
