//! The guide: what the pages of single items have no room for.
//!
//! | page | answers |
//! |---|---|
//! | [`patterns`] | Which sockets do I need? What is in the first frames? |
//! | [`delivery`] | What is promised about a message, what can be lost, how do I learn of it? |
//! | [`cancellation`] | What happens when a future is dropped half way? |
//! | [`events`] | How do I see who is connected, and why somebody is not? |
//! | [`transports`] | What may stand in an endpoint? How do I add a transport? |
//! | [`tuning`] | Which numbers may I turn, and what do they cost? |
//! | [`migrating`] | I know libzmq. What is called what here, and what differs? |
//! | [`design`] | How does it work inside, and why that way? |
//!
//! Every example is compiled and run by the tests, and so are those of the README.

pub mod cancellation;
pub mod delivery;
pub mod design;
pub mod events;
pub mod migrating;
pub mod patterns;
pub mod transports;
pub mod tuning;

/// The README, so that its examples are tested.
#[cfg(all(doctest, feature = "tcp", feature = "ipc", unix))]
#[doc = include_str!("../../README.md")]
pub mod readme {}
