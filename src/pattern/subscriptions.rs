//! Who subscribed to what: prefixes, or groups, each with a set of pipes.
//!
//! Four parts, each as small as it can be, since a publisher may hold millions of subscriptions:
//! - a trie of the prefixes ([`trie`]), whose nodes keep their number for as long as they are held;
//! - per node its holders: one pipe inline, more in a side table ([`holders`]);
//! - per pipe the numbers of its nodes, so that a pipe that goes costs what it held and no walk of the trie.
//!   A cancelled subscription stays in that list until half of the list is stale: cancelling stays cheap, and
//!   a stale number does no harm, as it names a node which the pipe does not hold or which it holds again;
//! - per pipe a stamp, so that a pipe is matched once however many of its prefixes match.
//!
//! For one pipe this is a set: subscribing twice and cancelling once leaves nothing, as libzmq's peers expect.
//! Source: RFC 29, "The PUB socket type", where that differs, libzmq.

mod blocks;
mod holders;
mod index;
mod tail;
mod trie;

use crate::pipe::PipeId;
use holders::{Holders, Removed as Left, Sets};
use trie::Trie;

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    trie: Trie,
    sets: Sets,
    /// By slot.
    seats: Vec<Seat>,
    /// By slot, apart from the seats because matching needs only those.
    held: Vec<Held>,
    /// The number of the last `matches`.
    stamp: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seat {
    generation: u32,
    stamp: u32,
}

#[derive(Debug, Clone, Default)]
struct Held {
    /// In order of subscription, with stale ones in between.
    nodes: Vec<u32>,
    /// How many of them are not stale.
    live: usize,
}

/// What [`Subscriptions::add`] changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    /// Nobody held the prefix before.
    pub(crate) first: bool,
    /// This pipe did not hold it before.
    pub(crate) new: bool,
}

/// What [`Subscriptions::remove`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removed {
    /// The pipe did not hold the prefix.
    Unknown,
    /// Others still hold it.
    Shared,
    /// Nobody holds it any more.
    Last,
}

/// Called with each prefix that a pipe held, and whether it was the last holder.
pub(crate) type Report<'a> = &'a mut dyn FnMut(&[u8], bool);

impl Subscriptions {
    /// How many distinct prefixes are held.
    pub(crate) fn len(&self) -> usize {
        self.trie.len()
    }

    pub(crate) fn add(&mut self, prefix: &[u8], pipe: PipeId) -> Added {
        let slot = self.seat(pipe);
        let node = self.trie.insert(prefix);
        let before = self.trie.holders(node);
        let Some(after) = self.sets.insert(before, slot) else { return Added { first: false, new: false } };
        self.trie.set_holders(node, after);
        if let Some(held) = self.held.get_mut(slot as usize) {
            held.nodes.push(node);
            held.live += 1;
        }
        Added { first: before.is_none(), new: true }
    }

    pub(crate) fn remove(&mut self, prefix: &[u8], pipe: PipeId) -> Removed {
        let (Some(slot), Some(node)) = (self.seated(pipe), self.trie.find(prefix)) else {
            return Removed::Unknown;
        };
        let removed = self.release(node, slot);
        match removed {
            Removed::Unknown => return removed,
            Removed::Shared => {}
            Removed::Last => self.trie.remove(node),
        }
        self.sweep(slot);
        self.shrink();
        removed
    }

    /// Ends all subscriptions of a pipe, in time proportional to their number.
    pub(crate) fn remove_all(&mut self, pipe: PipeId, mut report: Option<Report<'_>>) {
        let Some(slot) = self.seated(pipe) else { return };
        let Some(held) = self.held.get_mut(slot as usize) else { return };
        let held = std::mem::take(held);
        let mut prefix = Vec::new();
        for node in held.nodes {
            let removed = self.release(node, slot);
            if removed == Removed::Unknown {
                continue;
            }
            let last = removed == Removed::Last;
            if let Some(report) = &mut report {
                self.trie.prefix(node, &mut prefix);
                report(&prefix, last);
            }
            if last {
                self.trie.remove(node);
            }
        }
        self.shrink();
    }

    /// Appends the pipes that hold a prefix of `topic`, each once.
    #[inline]
    pub(crate) fn matches(&mut self, topic: &[u8], into: &mut Vec<PipeId>) {
        let stamp = self.next_stamp();
        let Self { trie, sets, seats, .. } = self;
        trie.walk(topic, |holders| {
            sets.for_each(holders, |slot| {
                if let Some(seat) = seats.get_mut(slot as usize).filter(|seat| seat.stamp != stamp) {
                    seat.stamp = stamp;
                    into.push(PipeId::new(slot, seat.generation));
                }
            });
            true
        });
    }

    /// Appends the pipes that hold exactly this.
    pub(crate) fn holders(&self, exactly: &[u8], into: &mut Vec<PipeId>) {
        let Some(node) = self.trie.find(exactly) else { return };
        let holders = self.trie.holders(node);
        if holders.is_none() {
            return;
        }
        self.sets.for_each(holders, |slot| {
            into.extend(self.seats.get(slot as usize).map(|seat| PipeId::new(slot, seat.generation)));
        });
    }

    /// Whether anybody holds a prefix of `topic`.
    pub(crate) fn any(&self, topic: &[u8]) -> bool {
        let mut found = false;
        self.trie.walk(topic, |_| {
            found = true;
            false
        });
        found
    }

    /// Names each prefix that the pipe holds, once.
    pub(crate) fn each(&self, pipe: PipeId, mut visit: impl FnMut(&[u8])) {
        let Some(slot) = self.seated(pipe) else { return };
        let mut prefix = Vec::new();
        for node in self.live_nodes(slot) {
            self.trie.prefix(node, &mut prefix);
            visit(&prefix);
        }
    }

    /// Takes the pipe off the node. One without holders must be removed next; until then it has its prefix.
    fn release(&mut self, node: u32, slot: u32) -> Removed {
        let (left, removed) = match self.sets.remove(self.trie.holders(node), slot) {
            Left::Unknown => return Removed::Unknown,
            Left::Nobody => (Holders::NONE, Removed::Last),
            Left::Others(holders) => (holders, Removed::Shared),
        };
        self.trie.set_holders(node, left);
        if let Some(held) = self.held.get_mut(slot as usize) {
            held.live = held.live.saturating_sub(1);
        }
        removed
    }

    /// Gives memory back once most of it is out of use: constant time per cancellation in the long run.
    fn shrink(&mut self) {
        if self.trie.len() == 0 {
            self.sets = Sets::default();
        }
        if self.trie.is_sparse() {
            let numbers = self.trie.renumber();
            let new = |old: u32| numbers.get(old as usize).copied().flatten();
            for held in &mut self.held {
                held.nodes = held.nodes.iter().filter_map(|&old| new(old)).collect();
            }
        }
    }

    /// Rebuilds the pipe's list once most of it is stale: constant time per cancellation in the long run, but
    /// for the sorting.
    fn sweep(&mut self, slot: u32) {
        const SMALL: usize = 16;
        let Some(held) = self.held.get(slot as usize) else { return };
        if held.nodes.len() > 2 * held.live + SMALL {
            let nodes = self.live_nodes(slot);
            if let Some(held) = self.held.get_mut(slot as usize) {
                debug_assert_eq!(held.live, nodes.len(), "every held prefix is listed");
                held.nodes = nodes;
            }
        }
    }

    fn live_nodes(&self, slot: u32) -> Vec<u32> {
        let Some(held) = self.held.get(slot as usize) else { return Vec::new() };
        let mut nodes = held.nodes.clone();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|&node| self.sets.contains(self.trie.holders(node), slot));
        nodes
    }

    /// The slot of a pipe that has subscribed before.
    fn seated(&self, pipe: PipeId) -> Option<u32> {
        let seat = self.seats.get(pipe.slot())?;
        (seat.generation == pipe.generation()).then(|| slot_of(pipe))
    }

    fn seat(&mut self, pipe: PipeId) -> u32 {
        let slot = pipe.slot();
        if self.seats.len() <= slot {
            self.seats.resize(slot + 1, Seat::default());
            self.held.resize(slot + 1, Held::default());
        }
        let before = self.seats.get(slot).map_or(0, |seat| seat.generation);
        if before != pipe.generation() {
            // Pipes say good-bye before their slot is used again; one that did not must not leave its
            // subscriptions to the next.
            self.remove_all(PipeId::new(slot_of(pipe), before), None);
            if let Some(seat) = self.seats.get_mut(slot) {
                seat.generation = pipe.generation();
            }
        }
        slot_of(pipe)
    }

    #[inline]
    fn next_stamp(&mut self) -> u32 {
        match self.stamp.checked_add(1) {
            Some(stamp) => self.stamp = stamp,
            None => self.restart_stamps(),
        }
        self.stamp
    }

    /// Old stamps would be met again: once in four billion messages they are wiped.
    #[cold]
    fn restart_stamps(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.stamp = 0);
        self.stamp = 1;
    }
}

fn slot_of(pipe: PipeId) -> u32 {
    u32::try_from(pipe.slot()).expect("a slot is made from a u32")
}

#[cfg(test)]
mod tests;
