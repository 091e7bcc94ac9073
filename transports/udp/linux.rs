//! Many datagrams a system call: sendmmsg(2) and recvmmsg(2), and the offloads of udp(7), with which the kernel carries a
//! run of datagrams of one length to one address through its stack as one packet. With IP_PKTINFO of ip(7) and ipv6(7), where
//! a socket has all addresses, an answer leaves from the one that the question came to.
//!
//! Invariant: on the wire, and for whoever receives, nothing is different from a call for each. What the kernel will not
//! carry in runs is sent without.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg,
    sendmmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::why;
use crate::{Datagrams, ReceiveBatch, Route, SendBatch};

/// The most datagrams of a run, and of a call: `UDP_MAX_SEGMENTS` before Linux 6.9.
const MANY: usize = 64;

/// The most bytes of a run: a little less than fit into a packet.
const RUN: usize = 65_000;

/// What is tried from then on when the kernel refuses to carry longer datagrams in runs, because they do not fit into a
/// frame: what fits into Ethernet's, then what fits into any with IPv6 (RFC 8200, 5), then half of it, and so on: for
/// all paths, but a narrow one takes no more from the others than it must.
const SEGMENTS: [usize; 2] = [1452, 1232];

/// A socket.
#[derive(Debug)]
pub(super) struct Line {
    socket: UdpSocket,
    /// The longest datagram that is sent in runs.
    segment: AtomicUsize,
}

impl Line {
    pub(super) fn new(socket: UdpSocket) -> Self {
        // A kernel before 5.0 joins nothing.
        setsockopt(&socket, sockopt::UdpGroSegment, &true).ok();
        // Of a socket for both versions the second tells both.
        match socket.local_addr().map(|at| at.ip()) {
            Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)) => {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true).ok();
            }
            Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)) => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true).ok();
            }
            _ => {}
        }
        Self { socket, segment: AtomicUsize::new(usize::MAX) }
    }
}

impl Datagrams for Line {
    fn poll_send(&self, cx: &mut Context<'_>, batch: &SendBatch) -> Poll<io::Result<usize>> {
        if batch.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            ready!(self.socket.poll_send_ready(cx))?;
            match self.socket.try_io(Interest::WRITABLE, || self.send(batch)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent.map_err(|error| why(error, &self.socket))),
            }
        }
    }

    fn poll_receive(&self, cx: &mut Context<'_>, into: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        into.clear();
        loop {
            ready!(self.socket.poll_recv_ready(cx))?;
            match self.socket.try_io(Interest::READABLE, || receive(self.socket.as_raw_fd(), into)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return Poll::Ready(received),
            }
        }
    }
}

// ── Sending ─────────────────────────────────────────────────────────────────────────────────────

impl Line {
    /// One system call, unless the kernel carries no runs.
    fn send(&self, batch: &SendBatch) -> io::Result<usize> {
        let socket = self.socket.as_raw_fd();
        let longest = self.segment.load(Ordering::Relaxed);
        let run = run(batch.iter(), longest);
        if run < 2 {
            return Ok(send_many(socket, batch, longest)?);
        }
        match send_run(socket, batch, run) {
            Ok(()) => Ok(run),
            // The datagrams are longer than the frames of the path (EINVAL in older kernels), or the device cannot divide
            // what is joined. Else the first is refused alone too.
            Err(Errno::EMSGSIZE | Errno::EINVAL | Errno::EIO) => {
                let sent = send_many(socket, batch, 0)?;
                let refused = batch.iter().next().map_or(0, |(datagram, _)| datagram.len());
                self.segment.store(shorter(refused), Ordering::Relaxed);
                Ok(sent)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The next length to try.
fn shorter(refused: usize) -> usize {
    SEGMENTS.into_iter().find(|segment| *segment < refused).unwrap_or(refused / 2)
}

/// How many of these go in one packet: those of one length to one address, the last of which may be shorter.
fn run(mut datagrams: impl Iterator<Item = (impl AsRef<[u8]>, Option<Route>)>, longest: usize) -> usize {
    let Some((first, to)) = datagrams.next() else { return 0 };
    let each = first.as_ref().len();
    if each > longest {
        return 1;
    }
    let (mut count, mut total) = (1, each);
    for (datagram, other) in datagrams.take(MANY - 1) {
        let len = datagram.as_ref().len();
        total += len;
        if other != to || len == 0 || len > each || total > RUN {
            break;
        }
        count += 1;
        if len < each {
            break;
        }
    }
    count
}

fn send_run(socket: RawFd, batch: &SendBatch, count: usize) -> Result<(), Errno> {
    let Some((first, to)) = batch.iter().next() else { return Ok(()) };
    let each = u16::try_from(first.len()).map_err(|_| Errno::EINVAL)?;
    let (source, to) = (Source::of(to), to.map(|to| SockaddrStorage::from(to.peer)));
    let (bytes, segments) = ([IoSlice::new(batch.joined(count))], ControlMessage::UdpGsoSegments(&each));
    let sent = match source.control() {
        Some(from) => sendmsg(socket, &bytes, &[segments, from], MsgFlags::empty(), to.as_ref()),
        None => sendmsg(socket, &bytes, &[segments], MsgFlags::empty(), to.as_ref()),
    };
    sent.map(drop)
}

/// Sends datagrams until a run begins, or one from another address of ours. Returns how many the kernel took.
fn send_many(socket: RawFd, batch: &SendBatch, longest: usize) -> Result<usize, Errno> {
    let (mut slices, mut addresses) = (Vec::new(), Vec::new());
    let mut rest = batch.iter();
    let local = |to: Option<Route>| to.and_then(|to| to.local);
    let first = rest.clone().next().and_then(|(_, to)| to);
    while slices.len() < MANY && (slices.is_empty() || run(rest.clone(), longest) < 2) {
        let Some((datagram, to)) = rest.next().filter(|(_, to)| local(*to) == local(first)) else { break };
        slices.push([IoSlice::new(datagram)]);
        addresses.push(to.map(|to| SockaddrStorage::from(to.peer)));
    }
    let source = Source::of(first);
    let from = source.control();
    if let ([slice], [to]) = (&slices[..], &addresses[..]) {
        return sendmsg(socket, slice, from.as_slice(), MsgFlags::empty(), to.as_ref()).map(|_| 1);
    }
    let mut headers = MultiHeaders::preallocate(slices.len(), source.space());
    sendmmsg(socket, &mut headers, &slices, addresses, from.as_slice(), MsgFlags::empty())
        .map(Iterator::count)
}

/// The address to send from, as the kernel wants to be told.
enum Source {
    Any,
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Source {
    fn of(to: Option<Route>) -> Self {
        match to.and_then(|to| to.local) {
            None => Self::Any,
            Some(IpAddr::V4(ip)) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                Self::V4(libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst,
                    ipi_addr: libc::in_addr { s_addr: 0 },
                })
            }
            Some(IpAddr::V6(ip)) => Self::V6(libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: 0,
            }),
        }
    }

    const fn control(&self) -> Option<ControlMessage<'_>> {
        match self {
            Self::Any => None,
            Self::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
            Self::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        }
    }

    /// Room for it, and for nothing else: the kernel reads all of it.
    fn space(&self) -> Option<Vec<u8>> {
        match self {
            Self::Any => None,
            Self::V4(_) => Some(cmsg_space!(libc::in_pktinfo)),
            Self::V6(_) => Some(cmsg_space!(libc::in6_pktinfo)),
        }
    }
}

// ── Receiving ───────────────────────────────────────────────────────────────────────────────────

fn receive(socket: RawFd, into: &mut ReceiveBatch) -> io::Result<()> {
    let mut arrived = [None; ReceiveBatch::SLOTS];
    {
        let mut slots = into.slots().map(|slot| [IoSliceMut::new(slot)]).collect::<Vec<_>>();
        // Made anew, for after a call they hold that call's lengths.
        let space = cmsg_space!(i32, libc::in6_pktinfo);
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slots.len(), Some(space));
        let received = recvmmsg(socket, &mut headers, &mut slots, MsgFlags::empty(), None)?;
        for (slot, message) in arrived.iter_mut().zip(received) {
            let (each, local) = told(&message);
            let from = Route::new(address(message.address), local);
            *slot = Some((from, message.bytes, each));
        }
    }
    arrived.into_iter().flatten().for_each(|(from, len, each)| into.filled(from, len, each));
    Ok(())
}

/// The length of each of the datagrams, of which the kernel may have joined several, and to which address of ours they
/// came, if it tells.
fn told(message: &RecvMsg<'_, '_, SockaddrStorage>) -> (usize, Option<IpAddr>) {
    let (mut each, mut local) = (message.bytes, None);
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::UdpGroSegments(length) => each = usize::try_from(length).unwrap_or(each),
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                local = Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                local = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            _ => {}
        }
    }
    // From a group nothing is sent.
    (each, local.filter(|ip: &IpAddr| !ip.to_canonical().is_multicast()))
}

fn address(from: Option<SockaddrStorage>) -> SocketAddr {
    let v4 = from.as_ref().and_then(SockaddrStorage::as_sockaddr_in);
    let v6 = from.as_ref().and_then(SockaddrStorage::as_sockaddr_in6);
    match (v4, v6) {
        (Some(v4), _) => SocketAddrV4::from(*v4).into(),
        (None, Some(v6)) => SocketAddrV6::from(*v6).into(),
        // The sockets of UDP have no others.
        (None, None) => (Ipv4Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of(datagrams: &[(usize, u16)], longest: usize) -> usize {
        let to = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into());
        run(datagrams.iter().map(|&(len, port)| (vec![0; len], to(port))), longest)
    }

    #[test]
    fn a_run_has_one_length_and_one_address_and_may_end_with_a_shorter_one() {
        assert_eq!(run_of(&[], 9), 0);
        assert_eq!(run_of(&[(5, 1), (5, 1), (5, 1)], 9), 3);
        assert_eq!(run_of(&[(5, 1), (5, 1), (4, 1), (4, 1)], 9), 3);
        assert_eq!(run_of(&[(5, 1), (6, 1)], 9), 1);
        assert_eq!(run_of(&[(5, 1), (5, 2)], 9), 1);
        assert_eq!(run_of(&[(5, 1), (0, 1)], 9), 1);
        assert_eq!(run_of(&[(0, 1), (0, 1)], 9), 1);
        assert_eq!(run_of(&[(10, 1), (10, 1)], 9), 1);
        assert_eq!(run_of(&[(1, 1); 99], 9), MANY);
        assert_eq!(run_of(&[(30_000, 1); 9], usize::MAX), 2);
    }

    #[tokio::test]
    async fn what_is_refused_alone_too_shortens_no_runs() {
        let line = Line::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let nowhere = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into());
        let mut batch = SendBatch::new();
        (0..2).for_each(|_| batch.push(&[0; 17], nowhere));
        let sent = std::future::poll_fn(|cx| line.poll_send(cx, &batch)).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(line.segment.load(Ordering::Relaxed), usize::MAX);
    }

    #[test]
    fn a_length_that_is_refused_once_is_not_tried_again() {
        for (refused, next) in [(9000, 1452), (1453, 1452), (1452, 1232), (1232, 616), (64, 32), (1, 0)] {
            assert_eq!(shorter(refused), next);
        }
    }
}
