//! The cells: what is measured, and under which name.
//!
//! A cell's name is its whole description, so that a peer process can be told it in one word.

use std::fmt;
use std::str::FromStr;

use crate::Outcome;

const SIZES: [usize; 8] = [16, 64, 256, 1024, 4096, 32_768, 262_144, 1_048_576];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Messages per second at the receiver.
    PushPull,
    /// Time of a round trip.
    ReqRep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) pattern: Pattern,
    pub(crate) transport: Transport,
    pub(crate) size: usize,
    /// Whether both processes share one core.
    pub(crate) pinned: bool,
}

impl Cell {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Transport::Tcp, Transport::Ipc].into_iter().flat_map(|transport| {
            let push_pull =
                SIZES.map(|size| Self { pattern: Pattern::PushPull, transport, size, pinned: false });
            let req_rep =
                [true, false].map(|pinned| Self { pattern: Pattern::ReqRep, transport, size: 1, pinned });
            push_pull.into_iter().chain(req_rep)
        })
    }

    /// Whether it is one of the cells of a quick run.
    pub(crate) fn is_quick(self) -> bool {
        match self.pattern {
            Pattern::PushPull => self.transport == Transport::Tcp && matches!(self.size, 64 | 256 | 1024),
            Pattern::ReqRep => self.pinned,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = match self.pattern {
            Pattern::PushPull => "push_pull",
            Pattern::ReqRep => "req_rep",
        };
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
        };
        let pinned = match (self.pattern, self.pinned) {
            (Pattern::PushPull, _) => "",
            (Pattern::ReqRep, true) => "/pinned",
            (Pattern::ReqRep, false) => "/free",
        };
        write!(f, "{pattern}/{transport}/{}{pinned}", self.size)
    }
}

impl FromStr for Cell {
    type Err = Box<dyn std::error::Error + Send + Sync>;

    fn from_str(name: &str) -> Outcome<Self> {
        Self::all().find(|cell| cell.to_string() == name).ok_or_else(|| format!("no cell {name:?}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_its_name() {
        for cell in Cell::all() {
            assert_eq!(cell.to_string().parse::<Cell>().unwrap(), cell);
        }
        assert!("push_pull/tcp/65".parse::<Cell>().is_err());
    }
}
