//! zocket against the real libzmq, and against mock peers that speak the bytes of ZMTP by hand.
//!
//! Every test puts a zocket socket on one side and a libzmq socket (`theirs.rs`) or a plain TCP stream (`mock/`) on
//! the other. `stage.rs` sets such a pair up, `side.rs` lets both sides play the same script. libzmq blocks, so it
//! runs on threads of its own; every wait on either side ends after [`within::DEADLINE`] and says what it waited for.
//! Nothing waits by sleeping: events are awaited, and where libzmq has no event a condition is asked again and again.

mod backpressure;
mod bodies;
mod content;
mod crowd;
mod events;
mod farewell;
mod heartbeat;
mod identity;
mod mock;
mod ours;
mod restart;
mod side;
mod stage;
mod subscriptions;
mod theirs;
mod within;
