//! libzmq's sockets as Rust values: a [`Context`], its [`Socket`]s, their [`Event`]s, and [`Msg`] for hot paths.
//!
//! Rules the types keep: a socket closes before its context ends; a socket may move to another thread but not be
//! shared (libzmq gives each to one thread at a time); a monitor's reading end outlives its writing end, because
//! libzmq's I/O thread would block on it otherwise.

mod context;
mod error;
mod ffi;
mod kind;
mod message;
mod monitor;
mod poller;
mod socket;

pub use context::Context;
pub use error::{Error, Result};
pub use kind::{Flags, Kind, Opt, Ready};
pub use message::Msg;
pub use monitor::{Event, EventKind};
pub use poller::Poller;
pub use socket::Socket;

/// The version of the libzmq that is linked in.
#[must_use]
pub fn version() -> (i32, i32, i32) {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three valid pointers to integers, which is all the function asks for.
    unsafe { ffi::zmq_version(&raw mut major, &raw mut minor, &raw mut patch) };
    (major, minor, patch)
}

/// Whether libzmq was built with a capability: `ipc`, `curve`, `draft`, …
#[must_use]
pub fn has(capability: &std::ffi::CStr) -> bool {
    // SAFETY: a NUL-terminated string that outlives the call.
    unsafe { ffi::zmq_has(capability.as_ptr()) == 1 }
}

#[cfg(test)]
mod tests;
