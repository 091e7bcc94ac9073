//! A trie of the prefixes with steps of 23 bytes, whose edges stand in one hash table.
//!
//! A node is the end of a prefix or a step on the way to longer ones. At each step that a topic takes, it is looked
//! up once for every length that tails have; but a filter, a mask of lengths for each start of four bytes, rules
//! most of them out. What is left is a hash, mostly answered by one cache line, and the node itself. Whatever peers
//! subscribe to, a topic costs 23 lookups plus one for each byte that it shares with some prefix.
//!
//! Nothing recurses: a peer chooses the depth.
//!
//! *Tried:* a radix trie. With ten prefixes it is 20 ns faster. With 100 000, three of its nodes, one after the
//! other, are not in the cache: matching takes half as long again, adding twice the work, a prefix 80 bytes rather
//! than 55. *Tried:* no steps, each prefix under one hash: prefixes of a thousand lengths make every long topic dear.
//! *Tried:* no filter: prefixes of nine lengths cost nine lookups, most of them outside the cache.

use super::blocks::Blocks;
use super::holders::Holders;
use super::index::Index;
use super::tail::{Tail, Window};

const ROOT: u32 = 0;

/// The parent of a node that is out of use.
const NOBODY: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Trie {
    key: [u64; 2],
    nodes: Blocks<Node>,
    /// Numbers of nodes out of use.
    free: Vec<u32>,
    /// All nodes in use but the root, by parent and tail.
    edges: Index,
    /// By parent and start of the tail, a bit for each length. More bits may be set than there are tails.
    filter: Vec<u32>,
    /// How many nodes were removed since the filter was made: at most so many of its bits are for nobody.
    stale: usize,
    /// How many tails have each length.
    lengths: [u32; Tail::LONGEST + 1],
    /// The same as bits: those of which there are any.
    present: u32,
    prefixes: usize,
}

#[derive(Debug)]
struct Node {
    tail: Tail,
    parent: u32,
    /// How many nodes have this one as their parent. Those that do are `Tail::LONGEST` long.
    below: u32,
    holders: Holders,
}

// Most of the memory of a large trie is this times the number of prefixes.
const _: () = assert!(size_of::<Node>() <= 40);

const KNOWN: &str = "nodes are known by their numbers, which are never taken away";

/// The lengths of tails that are shorter than the start by which the filter goes.
const SHORT: u32 = (1 << 4) - 1;

/// All lengths up to this one.
#[inline]
fn up_to(len: usize) -> u32 {
    (2 << len.min(Tail::LONGEST)) - 1
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            key: [fastrand::u64(..), fastrand::u64(..)],
            nodes: Blocks::new(Node { tail: Tail::EMPTY, parent: ROOT, below: 0, holders: Holders::NONE }),
            free: Vec::new(),
            edges: Index::default(),
            filter: vec![0; 64],
            stale: 0,
            lengths: [0; Tail::LONGEST + 1],
            present: 0,
            prefixes: 0,
        }
    }
}

impl Trie {
    /// How many prefixes are held.
    pub(super) fn len(&self) -> usize {
        self.prefixes
    }

    /// Nobody, for a number that is out of use.
    pub(super) fn holders(&self, node: u32) -> Holders {
        self.nodes.get(node).map_or(Holders::NONE, |node| node.holders)
    }

    /// Gives a node other holders. One that is left without any must be [removed](Self::remove) next.
    pub(super) fn set_holders(&mut self, node: u32, holders: Holders) {
        self.node_mut(node).holders = holders;
    }

    /// Visits the holders of each prefix of `topic`, shortest first, for as long as `visit` says so.
    #[inline]
    pub(super) fn walk(&self, topic: &[u8], mut visit: impl FnMut(Holders) -> bool) {
        let mut visit_node = |node: &Node| node.holders.is_none() || visit(node.holders);
        let (mut step, mut rest) = (ROOT, topic);
        if !visit_node(self.node(ROOT)) || self.present == 0 {
            return;
        }
        loop {
            let window = Window::new(rest);
            let mut lengths = self.candidates(step, &window) & up_to(rest.len());
            let mut next = None;
            while lengths != 0 {
                let len = lengths.trailing_zeros() as usize;
                lengths &= lengths - 1;
                let Some(child) = self.child(step, &window.tail(len)) else { continue };
                let node = self.node(child);
                if !visit_node(node) {
                    return;
                }
                // Only the longest tails have any, and they come last.
                next = (node.below > 0).then_some(child);
            }
            let Some(child) = next else { return };
            step = child;
            rest = &rest[Tail::LONGEST..];
        }
    }

    pub(super) fn find(&self, prefix: &[u8]) -> Option<u32> {
        prefix.chunks(Tail::LONGEST).try_fold(ROOT, |node, part| self.child(node, &Tail::new(part)))
    }

    /// The node of a prefix, made if need be. It must be given holders.
    pub(super) fn insert(&mut self, prefix: &[u8]) -> u32 {
        let node = prefix.chunks(Tail::LONGEST).fold(ROOT, |node, part| {
            let tail = Tail::new(part);
            self.child(node, &tail).unwrap_or_else(|| self.allocate(node, tail))
        });
        self.prefixes += usize::from(self.holders(node).is_none());
        node
    }

    /// Writes the prefix of a node.
    pub(super) fn prefix(&self, mut node: u32, into: &mut Vec<u8>) {
        into.clear();
        while node != ROOT {
            let Node { tail, parent, .. } = self.node(node);
            into.extend(tail.rev());
            node = *parent;
        }
        into.reverse();
    }

    /// Counts a node that has lost its last holder out, and removes what only served it.
    pub(super) fn remove(&mut self, mut node: u32) {
        self.prefixes -= 1;
        while node != ROOT && self.node(node).below == 0 && self.holders(node).is_none() {
            let Node { tail, parent, .. } = *self.node(node);
            self.edges.remove(self.tag(parent, &tail), |other| other == node);
            self.free.push(node);
            self.node_mut(node).parent = NOBODY;
            self.stale += 1;
            self.lengths[tail.len()] -= 1;
            self.present ^= u32::from(self.lengths[tail.len()] == 0) << tail.len();
            self.node_mut(parent).below -= 1;
            node = parent;
        }
    }

    /// Whether most of its memory is out of use. Asked more strictly, it would be moved so often that allocators
    /// keep as much again.
    pub(super) fn is_sparse(&self) -> bool {
        const SMALL: usize = 64;
        self.nodes.len() > SMALL && self.nodes.len() - self.free.len() < self.nodes.len() / 8
    }

    /// Numbers the nodes anew without gaps, and says how: by old number, `None` for what was not held.
    pub(super) fn renumber(&mut self) -> Vec<Option<u32>> {
        let old = std::mem::take(self);
        let mut prefix = Vec::new();
        let renumbered = (0..).zip(old.nodes.iter()).map(|(number, node)| {
            (!node.holders.is_none()).then(|| {
                old.prefix(number, &mut prefix);
                let number = self.insert(&prefix);
                self.set_holders(number, node.holders);
                number
            })
        });
        renumbered.collect()
    }

    #[inline]
    fn child(&self, parent: u32, tail: &Tail) -> Option<u32> {
        self.edges.get(self.tag(parent, tail), |node| {
            let node = self.node(node);
            node.tail == *tail && node.parent == parent
        })
    }

    #[inline]
    const fn tag(&self, parent: u32, tail: &Tail) -> u32 {
        (tail.hash(parent, self.key) >> 32) as u32
    }

    /// The lengths that tails of this parent may have, given how they start: a bit for each.
    #[inline]
    fn candidates(&self, parent: u32, window: &Window) -> u32 {
        self.present & (SHORT | self.filter[self.filter_place(parent, window.start())])
    }

    #[inline]
    fn filter_place(&self, parent: u32, start: u32) -> usize {
        let hash = (u64::from(parent) << 32 | u64::from(start)).wrapping_mul(self.key[0] | 1);
        (((hash >> 32) * self.filter.len() as u64) >> 32) as usize
    }

    fn admit(&mut self, parent: u32, tail: &Tail) {
        let place = self.filter_place(parent, tail.start());
        self.filter[place] |= 1 << tail.len();
    }

    /// Makes the filter anew, without the bits of tails that are gone.
    fn refilter(&mut self, len: usize) {
        self.filter = vec![0; len];
        self.stale = 0;
        for number in (0..).take(self.nodes.len()).skip(1) {
            let Node { tail, parent, .. } = *self.node(number);
            if parent != NOBODY {
                self.admit(parent, &tail);
            }
        }
    }

    fn allocate(&mut self, parent: u32, tail: Tail) -> u32 {
        let node = Node { tail, parent, below: 0, holders: Holders::NONE };
        let number = self.free.pop().unwrap_or_else(|| {
            u32::try_from(self.nodes.len()).expect("four billion nodes do not fit in memory")
        });
        match self.nodes.get_mut(number) {
            Some(place) => *place = node,
            None => self.nodes.push(node),
        }
        self.edges.insert(self.tag(parent, &tail), number);
        self.lengths[tail.len()] += 1;
        self.present |= 1 << tail.len();
        self.admit(parent, &tail);
        let len = self.filter.len();
        if self.nodes.len() > len * 2 {
            self.refilter(len * 2);
        } else if self.stale > len {
            self.refilter(len);
        }
        self.node_mut(parent).below += 1;
        number
    }

    #[inline]
    fn node(&self, number: u32) -> &Node {
        self.nodes.get(number).expect(KNOWN)
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        self.nodes.get_mut(number).expect(KNOWN)
    }

    /// How many bits of the filter are set.
    #[cfg(test)]
    pub(super) fn admitted(&self) -> u32 {
        self.filter.iter().map(|lengths| lengths.count_ones()).sum()
    }

    /// How many nodes there is memory for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.nodes.room()
    }

    /// How many nodes are in use, the root among them.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}
