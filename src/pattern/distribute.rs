//! A copy for every pipe that subscribed: PUB and XPUB.
//!
//! The trie names the pipes, the outlets copy to those with room; nobody waits, unless `no_drop` asks for it.
//! A pipe has subscriptions only between a handshake and the loss of its link: a peer that comes back starts
//! empty and says again what it wants, and a publisher that connects queues nothing for a peer it never met.
//!
//! Source: RFC 29, "The PUB socket type" and "The XPUB socket type"; for notices, libzmq.

use super::subscriptions::{Removed, Report, Subscriptions};
use super::{Offer, Outbound, Outlets, Routed, Welcome};
use crate::message::{Frame, Message, Outgoing};
use crate::pipe::{PipeId, Table};
use crate::zmtp::{Command, PeerInfo};

/// Which subscriptions the application hears of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Verbose {
    /// The first of each topic, and the last cancellation.
    #[default]
    FirstOnly,
    /// Every subscription, and the last cancellation.
    Subscribes,
    /// Every subscription and every cancellation.
    All,
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Wait for all matching pipes to have room, rather than let the full ones miss a message.
    pub(crate) no_drop: bool,
    pub(crate) verbose: Verbose,
    /// What peers ask for is only told; [`Distribute::subscribe`] applies it, or something else.
    pub(crate) manual: bool,
    /// Sent to each peer that arrives, whatever it subscribes to.
    pub(crate) welcome: Option<Message>,
    /// Whether the application hears of subscriptions at all: XPUB.
    pub(crate) notices: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Distribute {
    options: Options,
    subscriptions: Subscriptions,
    /// With `manual`: what the peers asked for, to be taken back in their name when they go.
    asked: Subscriptions,
    /// The pipes with a link.
    peers: Table<()>,
    /// Those of them whose peers never say what they want, and are sent everything.
    silent: Vec<PipeId>,
    /// Kept for its memory.
    matches: Vec<PipeId>,
}

impl Distribute {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// How many distinct topics are subscribed to.
    pub(crate) fn topics(&self) -> usize {
        self.subscriptions.len()
    }

    /// Subscribes in the name of a peer. False if it is not there.
    pub(crate) fn subscribe(&mut self, pipe: PipeId, topic: &[u8]) -> bool {
        let there = self.peers.get(pipe).is_some();
        if there {
            self.subscriptions.add(topic, pipe);
        }
        there
    }

    /// Cancels in the name of a peer. False if it had not subscribed.
    pub(crate) fn unsubscribe(&mut self, pipe: PipeId, topic: &[u8]) -> bool {
        self.subscriptions.remove(topic, pipe) != Removed::Unknown
    }

    /// Whether the application is told.
    fn apply(&mut self, from: PipeId, topic: &[u8], subscribe: bool) -> bool {
        let verbose = self.options.verbose;
        let subscriptions = if self.options.manual { &mut self.asked } else { &mut self.subscriptions };
        let tell = if subscribe {
            subscriptions.add(topic, from).first || verbose != Verbose::FirstOnly
        } else {
            // What nobody knew is told too, as libzmq does: a proxy passes it on and the publishers behind it
            // decide.
            subscriptions.remove(topic, from) != Removed::Shared || verbose == Verbose::All
        };
        self.options.notices && (tell || self.options.manual)
    }

    fn forget(&mut self, pipe: PipeId) -> Vec<Message> {
        let mut notices = Vec::new();
        if self.peers.vacate(pipe).is_none() {
            return notices;
        }
        self.silent.retain(|&silent| silent != pipe);
        let all = self.options.verbose == Verbose::All || self.options.manual;
        let mut tell = |topic: &[u8], last| {
            if last || all {
                notices.push(notice(topic, false));
            }
        };
        let report: Option<Report<'_>> = self.options.notices.then_some(&mut tell);
        if self.options.manual {
            self.asked.remove_all(pipe, report);
            self.subscriptions.remove_all(pipe, None);
        } else {
            self.subscriptions.remove_all(pipe, report);
        }
        notices
    }

    /// Whether a matching pipe is full. Asked of all before anything is sent: found out half way, the message
    /// would go twice to those before.
    fn any_full(&self, outlets: &mut impl Outlets) -> bool {
        self.matches.iter().any(|&pipe| outlets.room(pipe) == Offer::Full)
    }
}

impl Outbound for Distribute {
    fn any_pipe(&self) -> bool {
        false
    }

    fn identify(&mut self, pipe: PipeId, peer: &PeerInfo, outlets: &mut impl Outlets) -> Welcome {
        self.peers.insert_at(pipe, ());
        if peer.is_silent() {
            // A group, of which nobody has just arrived.
            self.silent.push(pipe);
        } else if let Some(welcome) = &self.options.welcome {
            outlets.copy(&[pipe], &Outgoing::Made(&mut welcome.clone()));
        }
        Welcome::Accept { name: None }
    }

    fn lost(&mut self, pipe: PipeId) -> Vec<Message> {
        self.forget(pipe)
    }

    fn detach(&mut self, pipe: PipeId) -> Vec<Message> {
        self.forget(pipe)
    }

    fn command(&mut self, from: PipeId, command: Command) -> Option<Message> {
        let (topic, subscribe) = match &command {
            Command::Subscribe(topic) => (topic, true),
            Command::Cancel(topic) => (topic, false),
            Command::Join(_) | Command::Leave(_) | Command::Sent(_) => return None,
        };
        let tell = self.peers.get(from).is_some() && self.apply(from, topic, subscribe);
        tell.then(|| notice(topic, subscribe))
    }

    fn route(&mut self, message: &mut Outgoing<'_>, outlets: &mut impl Outlets) -> Routed {
        self.matches.clear();
        self.subscriptions.matches(message.first(), &mut self.matches);
        // A message of one frame has no topic of its own: it goes where all such go.
        if message.only().is_none() {
            outlets.lane_by(message.first());
        }
        self.matches.extend(&self.silent);
        if self.options.no_drop && self.any_full(outlets) {
            return Routed::Blocked;
        }
        if !self.matches.is_empty() {
            outlets.copy(&self.matches, message);
        }
        Routed::Sent
    }
}

/// A subscription as the application sees it: the form that it had on the wire before ZMTP 3.1.
fn notice(topic: &[u8], subscribe: bool) -> Message {
    Message::from(Frame::from([&[u8::from(subscribe)], topic].concat()))
}

#[cfg(test)]
mod tests;
