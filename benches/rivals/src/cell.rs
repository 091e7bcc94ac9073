//! The cells: what is measured, and under which name.
//!
//! A cell's name is its whole description, so that a peer process can be told it in one word:
//! `push_pull/tcp/64` (bytes), `req_rep/tcp/1/pinned`, `fan_out/tcp/1024x64` (bytes x peers), `connect/tcp/2000`.

use std::fmt;
use std::str::FromStr;

use crate::Outcome;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// One PUSH to one PULL, a fresh copy of the payload for every message.
    PushPull,
    /// The same with messages of two frames: a number, and one body that all of them share.
    Shared,
    /// One REQ asks one REP.
    ReqRep,
    /// One PUB, which drops nothing, to many SUBs of one process.
    FanOut,
    /// One ROUTER answers many DEALERs, each with some requests under way.
    Router,
    /// Many PUSHes to one PULL.
    Crowd,
    /// Many PUSHes connect to one PULL, are idle, and send a burst.
    Connect,
    /// One SUB subscribes to many prefixes of one PUB.
    Prefixes,
    /// Many PUSHes are connected to one PULL, and nothing happens.
    Idle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    /// Both sides in one process and, where the library has none of its own threads, in one runtime.
    Inproc,
    /// Datagrams, of which some may be lost.
    Udp,
    /// Encrypted; the one side has a new key, which the other one knows.
    Quic,
}

impl Transport {
    /// Whether libzmq has it for all sockets, and so most others do.
    pub(crate) fn is_common(self) -> bool {
        matches!(self, Self::Tcp | Self::Ipc | Self::Inproc)
    }
}

/// How the two sides of a cell share the machine's cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    Free,
    /// Both processes on one core: what counts is the code, not how fast another core wakes.
    Pinned,
    /// Free, and a side that waits keeps looking for a while before it sleeps.
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) pattern: Pattern,
    pub(crate) transport: Transport,
    /// Payload bytes of a message.
    pub(crate) size: usize,
    /// Sockets on the side that has many, or prefixes.
    pub(crate) peers: usize,
    pub(crate) cores: Cores,
}

const SIZES: [usize; 8] = [16, 64, 256, 1024, 4096, 32_768, 262_144, 1_048_576];
const QUIC_SIZES: [usize; 6] = [64, 1024, 4096, 32_768, 262_144, 1_048_576];
const UDP_SIZES: [usize; 2] = [64, 1200];

/// What `--quick` measures: each pattern once, and what its users look at first.
const QUICK: [&str; 16] = [
    "push_pull/tcp/64",
    "push_pull/tcp/1024",
    "push_pull/tcp/32768",
    "push_pull/ipc/64",
    "push_pull/inproc/64",
    "push_pull/quic/1024",
    "push_pull/udp/64",
    "shared/tcp/262144",
    "req_rep/tcp/1/pinned",
    "req_rep/ipc/1/pinned",
    "req_rep/inproc/1",
    "fan_out/tcp/1024x8",
    "router/tcp/64x64",
    "crowd/tcp/64x1000",
    "connect/tcp/2000",
    "prefixes/tcp/100000",
];

impl Cell {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use Cores::{Busy, Free, Pinned};
        use Pattern::{Connect, Crowd, FanOut, Idle, Prefixes, PushPull, ReqRep, Router, Shared};
        use Transport::{Inproc, Ipc, Quic, Tcp, Udp};
        let cell = |pattern, transport, size, peers, cores| Self { pattern, transport, size, peers, cores };
        let mut cells = Vec::new();
        for transport in [Tcp, Ipc, Inproc] {
            cells.extend(SIZES.map(|size| cell(PushPull, transport, size, 1, Free)));
        }
        cells.extend(QUIC_SIZES.map(|size| cell(PushPull, Quic, size, 1, Free)));
        cells.extend(UDP_SIZES.map(|size| cell(PushPull, Udp, size, 1, Free)));
        for transport in [Tcp, Ipc] {
            let large = SIZES.into_iter().filter(|&size| size >= 32_768);
            cells.extend(large.map(|size| cell(Shared, transport, size, 1, Free)));
        }
        for transport in [Tcp, Ipc] {
            cells.extend([Pinned, Free, Busy].map(|cores| cell(ReqRep, transport, 1, 1, cores)));
        }
        cells.push(cell(ReqRep, Inproc, 1, 1, Free));
        for size in [64, 1024, 4096] {
            cells.extend([1, 8, 64].map(|peers| cell(FanOut, Tcp, size, peers, Free)));
        }
        cells.extend([
            cell(Router, Tcp, 64, 64, Free),
            cell(Crowd, Tcp, 64, 1000, Free),
            cell(Connect, Tcp, 64, 2000, Free),
            cell(Prefixes, Tcp, 64, 100_000, Free),
            cell(Idle, Tcp, 64, 100, Free),
        ]);
        cells.into_iter()
    }

    /// Whether it is one of the cells of a quick run.
    pub(crate) fn is_quick(self) -> bool {
        QUICK.contains(&self.to_string().as_str())
    }

    /// Whether messages may be lost, so that the receiver's clock says when it is enough.
    pub(crate) fn is_lossy(self) -> bool {
        self.transport == Transport::Udp
    }

    /// How many sockets send to the receiver that counts.
    pub(crate) fn senders(self) -> usize {
        match self.pattern {
            Pattern::Crowd | Pattern::Connect | Pattern::Idle => self.peers,
            _ => 1,
        }
    }
}

impl Pattern {
    fn name(self) -> &'static str {
        match self {
            Self::PushPull => "push_pull",
            Self::Shared => "shared",
            Self::ReqRep => "req_rep",
            Self::FanOut => "fan_out",
            Self::Router => "router",
            Self::Crowd => "crowd",
            Self::Connect => "connect",
            Self::Prefixes => "prefixes",
            Self::Idle => "idle",
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Ipc => "ipc",
            Transport::Inproc => "inproc",
            Transport::Udp => "udp",
            Transport::Quic => "quic",
        };
        write!(f, "{}/{transport}/", self.pattern.name())?;
        match self.pattern {
            Pattern::PushPull | Pattern::Shared | Pattern::ReqRep => write!(f, "{}", self.size)?,
            Pattern::FanOut | Pattern::Router | Pattern::Crowd => write!(f, "{}x{}", self.size, self.peers)?,
            Pattern::Connect | Pattern::Prefixes | Pattern::Idle => write!(f, "{}", self.peers)?,
        }
        match self.cores {
            Cores::Pinned => f.write_str("/pinned"),
            Cores::Busy => f.write_str("/busy"),
            Cores::Free if self.pattern == Pattern::ReqRep && self.transport != Transport::Inproc => {
                f.write_str("/free")
            }
            Cores::Free => Ok(()),
        }
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

    #[test]
    fn names_say_bytes_peers_and_cores_where_they_matter() {
        for name in [
            "push_pull/inproc/64",
            "shared/ipc/262144",
            "req_rep/inproc/1",
            "req_rep/tcp/1/busy",
            "push_pull/quic/1024",
        ] {
            assert_eq!(name.parse::<Cell>().unwrap().to_string(), name);
        }
        let cell = "fan_out/tcp/1024x64".parse::<Cell>().unwrap();
        assert_eq!((cell.size, cell.peers, cell.senders()), (1024, 64, 1));
        assert_eq!("crowd/tcp/64x1000".parse::<Cell>().unwrap().senders(), 1000);
    }

    #[test]
    fn every_quick_cell_is_a_cell() {
        assert_eq!(Cell::all().filter(|cell| cell.is_quick()).count(), QUICK.len());
    }
}
