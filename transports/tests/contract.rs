//! What the transports promise: the suite for all of them, and what only one of them does.

#[cfg(unix)]
mod eager;
mod endpoint;
#[cfg(unix)]
mod ipc;
mod quic;
mod tcp;
mod udp;
