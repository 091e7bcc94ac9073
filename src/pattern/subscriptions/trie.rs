//! A radix trie in one vector: numbers instead of pointers, labels inside the nodes.
//!
//! A node other than the root is held, or it branches, or it is a link of a label too long for one node.
//! A node that is held keeps its number: splitting puts a new node above it and merging removes the one above.
//! Labels are cut at [`Label::LONGEST`] bytes, so that a short command never moves a long label. Nothing
//! recurses: a peer chooses the depth.

use super::children::Children;
use super::holders::Holders;

const ROOT: u32 = 0;

#[derive(Debug)]
pub(super) struct Trie {
    nodes: Vec<Node>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Node {
    parent: u32,
    holders: Holders,
    label: Label,
    children: Children,
}

// Most of the memory of a large trie is this times the number of prefixes.
const _: () = assert!(size_of::<Node>() <= 56);

#[derive(Debug)]
enum Label {
    Short { len: u8, bytes: [u8; Self::INLINE] },
    Long(Box<[u8]>),
}

impl Label {
    /// What fits beside the tag in the 24 bytes that a boxed label needs anyway.
    const INLINE: usize = 22;
    /// What splitting a label may have to copy.
    const LONGEST: usize = 255;
    const EMPTY: Self = Self::Short { len: 0, bytes: [0; Self::INLINE] };

    fn new(label: &[u8]) -> Self {
        let mut bytes = [0; Self::INLINE];
        match (u8::try_from(label.len()), bytes.get_mut(..label.len())) {
            (Ok(len), Some(place)) => {
                place.copy_from_slice(label);
                Self::Short { len, bytes }
            }
            _ => Self::Long(label.into()),
        }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }

    fn first(&self) -> u8 {
        self.bytes().first().copied().unwrap_or_default()
    }
}

impl Default for Trie {
    fn default() -> Self {
        let root =
            Node { parent: ROOT, holders: Holders::NONE, label: Label::EMPTY, children: Children::NONE };
        Self { nodes: vec![root], free: Vec::new() }
    }
}

impl Trie {
    /// Nobody, for a number that is out of use.
    pub(super) fn holders(&self, node: u32) -> Holders {
        self.nodes.get(node as usize).map_or(Holders::NONE, |node| node.holders)
    }

    pub(super) fn set_holders(&mut self, node: u32, holders: Holders) {
        self.node_mut(node).holders = holders;
    }

    /// Visits the holders of each prefix of `topic`, shortest first, for as long as `visit` says so.
    #[inline]
    pub(super) fn walk(&self, topic: &[u8], mut visit: impl FnMut(Holders) -> bool) {
        let mut node = self.node(ROOT);
        let mut rest = topic;
        loop {
            if !node.holders.is_none() && !visit(node.holders) {
                return;
            }
            let Some((&key, after)) = rest.split_first() else { return };
            let Some(child) = node.children.get(key) else { return };
            node = self.node(child);
            rest = after;
            // Where tries branch, labels are one byte long, and that one is known to be right.
            if let Some((_, more @ [_, ..])) = node.label.bytes().split_first() {
                let Some(after) = rest.strip_prefix(more) else { return };
                rest = after;
            }
        }
    }

    pub(super) fn find(&self, prefix: &[u8]) -> Option<u32> {
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some(&key) = rest.first() {
            at = self.node(at).children.get(key)?;
            rest = rest.strip_prefix(self.node(at).label.bytes())?;
        }
        Some(at)
    }

    /// The node of a prefix, made if need be. It must be given holders.
    pub(super) fn insert(&mut self, prefix: &[u8]) -> u32 {
        let mut at = ROOT;
        let mut rest = prefix;
        while let Some(&key) = rest.first() {
            let Some(child) = self.node(at).children.get(key) else { return self.extend(at, rest) };
            let label = self.node(child).label.bytes();
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            at = if common < label.len() { self.split(child, common) } else { child };
            rest = rest.get(common..).unwrap_or_default();
        }
        at
    }

    /// Writes the prefix of a node.
    pub(super) fn prefix(&self, node: u32, into: &mut Vec<u8>) {
        into.clear();
        let mut at = node;
        while at != ROOT {
            let node = self.node(at);
            into.extend(node.label.bytes().iter().rev());
            at = node.parent;
        }
        into.reverse();
    }

    /// Removes what only served a node that has lost its last holder.
    pub(super) fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.holders(at).is_none() {
            let parent = self.node(at).parent;
            match self.node(at).children.len() {
                0 => {
                    let key = self.node(at).label.first();
                    self.node_mut(parent).children.remove(key);
                    self.release(at);
                    at = parent;
                }
                1 => return self.merge(at),
                _ => return,
            }
        }
    }

    /// Hangs the rest of a prefix below a node that has no child for it.
    fn extend(&mut self, mut at: u32, rest: &[u8]) -> u32 {
        for part in rest.chunks(Label::LONGEST) {
            let child = self.allocate(at, Label::new(part));
            self.adopt(at, child);
            at = child;
        }
        at
    }

    /// Puts a node between `lower` and its parent, with the first `len` bytes of the label.
    fn split(&mut self, lower: u32, len: usize) -> u32 {
        let node = self.node(lower);
        let (head, tail) = node.label.bytes().split_at(len);
        let (head, tail, parent) = (Label::new(head), Label::new(tail), node.parent);
        let upper = self.allocate(parent, head);
        self.adopt(parent, upper);
        self.node_mut(lower).label = tail;
        self.adopt(upper, lower);
        upper
    }

    /// Joins a node with its only child, if the label stays short enough.
    fn merge(&mut self, upper: u32) {
        let Some(lower) = self.node(upper).children.only() else { return };
        let label = [self.node(upper).label.bytes(), self.node(lower).label.bytes()].concat();
        if label.len() <= Label::LONGEST {
            self.node_mut(lower).label = Label::new(&label);
            self.adopt(self.node(upper).parent, lower);
            self.release(upper);
        }
    }

    /// Makes `child` the child of `parent` for its first byte, in place of any other.
    fn adopt(&mut self, parent: u32, child: u32) {
        let node = self.node_mut(child);
        node.parent = parent;
        let key = node.label.first();
        self.node_mut(parent).children.insert(key, child);
    }

    fn allocate(&mut self, parent: u32, label: Label) -> u32 {
        let node = Node { parent, holders: Holders::NONE, label, children: Children::NONE };
        if let Some(number) = self.free.pop() {
            *self.node_mut(number) = node;
            return number;
        }
        if self.nodes.len() == self.nodes.capacity() {
            // Doubling would leave half of a large trie empty.
            self.nodes.reserve_exact(self.nodes.len() / 8 + 8);
        }
        self.nodes.push(node);
        u32::try_from(self.nodes.len() - 1).expect("four billion nodes do not fit in memory")
    }

    /// Frees a node. Whoever still has its number finds it without holders.
    fn release(&mut self, number: u32) {
        let node = self.node_mut(number);
        node.holders = Holders::NONE;
        node.label = Label::EMPTY;
        node.children = Children::NONE;
        self.free.push(number);
    }

    #[inline]
    fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node {
        &mut self.nodes[number as usize]
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}
