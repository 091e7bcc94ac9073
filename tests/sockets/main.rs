//! What the public API promises, tried from outside: every test is one sentence about sockets.
//!
//! `stage` sets sockets up and waits for events; nothing here sleeps to wait for something. A deadline is only
//! there to turn a hang into a failure. Where a promise holds for every transport and either order of start,
//! the test goes through `stage::ways()`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "whatever goes wrong fails the test that met it")]

mod by_hand;
mod cancel;
mod errors;
mod events;
mod fairness;
mod flow;
mod groups;
mod hostile;
mod inproc;
mod lanes;
mod lifecycle;
mod matrix;
mod names;
mod publish;
mod quic;
mod quic_crowd;
mod quic_datagrams;
mod quic_latest;
mod reconnect;
mod relay;
mod request;
mod sim;
mod slow;
mod stage;
mod talk;
mod udp;
