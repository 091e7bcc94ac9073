//! Sockets over a network not to be relied on: [`bad_network`].

mod quic;
mod radio;
mod udp;
