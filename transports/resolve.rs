//! From a place to socket addresses, for the transports over IP: names looked up, every address tried in turn.
//!
//! Names are looked up at each attempt, off the thread. Invariant: endpoints that are made here are numeric, and an
//! IPv4 peer of an IPv6 listener is shown as the IPv4 address it is.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
#[cfg(feature = "quic")]
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout};

use crate::address::{Host, Place, Zone};
#[cfg(unix)]
use crate::interface;
use crate::{Endpoint, LinkOptions};

/// Binds to the first of a place's addresses that works, with `listen`.
pub(crate) async fn bind<T>(
    place: &Place,
    options: &LinkOptions,
    listen: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let listen = |at| listen(at).map_err(|error| because(error, format_args!("cannot listen at {at}")));
    if place.host == Host::Any {
        return bind_all(place.port, options, listen);
    }
    let addresses = match local_addresses(place, options)? {
        Some(addresses) => addresses.into_iter().take(1).collect(),
        None => look_up(place, options).await?,
    };
    first(addresses, |address| std::future::ready(listen(address))).await
}

fn bind_all<T>(
    port: u16,
    options: &LinkOptions,
    listen: impl Fn(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    if options.ipv6 {
        match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
            // Whatever else is wrong may be that the system has no IPv6, for which there are several errors.
            Err(error)
                if !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {}
            done => return done,
        }
    }
    listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
}

/// Connects to the first of a place's addresses that answers, with `attempt`, within the time for connecting. Begins with
/// a later one, around the list, after so many that seemed to answer and did not.
#[cfg(any(feature = "tcp", feature = "udp"))]
pub(crate) async fn connect<T, F>(
    place: &Place,
    options: &LinkOptions,
    failed: usize,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let deadline = options.connect_timeout.and_then(|limit| Instant::now().checked_add(limit));
    let mut targets = targets(place, options, deadline).await?;
    turn(&mut targets, failed);
    let mut left = targets.len();
    first(targets, |target| {
        // What is left of the time is shared by the addresses that are left.
        let parts = left;
        left -= 1;
        let attempt = within(deadline, parts, attempt(target));
        async move {
            attempt.await.map_err(|error| because(error, format_args!("cannot connect to {target}")))
        }
    })
    .await
}

/// Puts first the address whose turn it is after so many. In an order of our own, for a name server may turn them too.
#[cfg(any(feature = "tcp", feature = "udp"))]
fn turn(targets: &mut [SocketAddr], failed: usize) {
    if failed > 0 {
        targets.sort_unstable();
    }
    let first = failed.checked_rem(targets.len()).unwrap_or_default();
    targets.rotate_left(first);
}

async fn targets(
    place: &Place,
    options: &LinkOptions,
    deadline: Option<Instant>,
) -> io::Result<Vec<SocketAddr>> {
    match literal(place, options)? {
        Some(target) => Ok(vec![target]),
        None => within(deadline, 1, look_up(place, options)).await,
    }
}

/// How long an address may be silent before the next one is tried beside it: the value of RFC 8305, section 5.
#[cfg(feature = "quic")]
const STAGGER: Duration = Duration::from_millis(250);

/// As [`connect`], where a dead address only stays silent: the next is tried beside it soon, and the first that
/// answers is taken.
#[cfg(feature = "quic")]
pub(crate) async fn race<T, F>(
    place: &Place,
    options: &LinkOptions,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
{
    let deadline = options.connect_timeout.and_then(|limit| Instant::now().checked_add(limit));
    let targets = targets(place, options, deadline).await?;
    let mut attempts = tokio::task::JoinSet::new();
    let mut wait = Duration::ZERO;
    for target in targets {
        let attempt = attempt(target);
        attempts.spawn(async move {
            tokio::time::sleep(wait).await;
            let done = within(deadline, 1, attempt).await;
            (wait, done.map_err(|error| because(error, format_args!("cannot connect to {target}"))))
        });
        wait += STAGGER;
    }
    let mut failed: Option<(Duration, io::Error)> = None;
    while let Some(Ok((turn, done))) = attempts.join_next().await {
        match done {
            Ok(done) => return Ok(done),
            // As in `first`.
            Err(error) if failed.as_ref().is_none_or(|(earlier, _)| turn < *earlier) => {
                failed = Some((turn, error));
            }
            Err(_) => {}
        }
    }
    Err(failed.map_or_else(|| io::ErrorKind::AddrNotAvailable.into(), |(_, error)| error))
}

/// Waits for `work` no longer than one of `parts` equal parts of the time that is left.
async fn within<T>(
    deadline: Option<Instant>,
    parts: usize,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    let Some(deadline) = deadline else { return work.await };
    let left = deadline.saturating_duration_since(Instant::now());
    let share = left / u32::try_from(parts).unwrap_or(u32::MAX).max(1);
    timeout(share, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

/// Tries one address after the other. If all fail, the first one's error is returned: it is the address the
/// system prefers.
async fn first<T, F>(addresses: Vec<SocketAddr>, mut attempt: impl FnMut(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut failed = None;
    for address in addresses {
        match attempt(address).await {
            Ok(done) => return Ok(done),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
}

// ── Addresses ───────────────────────────────────────────────────────────────────────────────────

/// Literal addresses and those of interfaces, which need no look-up. `None` for other names.
pub(crate) fn local_addresses(place: &Place, options: &LinkOptions) -> io::Result<Option<Vec<SocketAddr>>> {
    if let Some(address) = literal(place, options)? {
        return Ok(Some(vec![address]));
    }
    #[cfg(unix)]
    if let Host::Name(name) = &place.host
        && let Some(mut addresses) = interface::addresses(name, place.port)?
    {
        addresses.retain(|address| options.ipv6 || address.is_ipv4());
        if addresses.is_empty() {
            let text = format!("interface {name} has no address");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text));
        }
        return Ok(Some(addresses));
    }
    Ok(None)
}

fn literal(place: &Place, options: &LinkOptions) -> io::Result<Option<SocketAddr>> {
    match &place.host {
        Host::Ip(IpAddr::V4(ip), _) => Ok(Some(SocketAddr::from((*ip, place.port)))),
        Host::Ip(IpAddr::V6(ip), _) if !options.ipv6 => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("{ip}: IPv6 is switched off by an option"),
        )),
        Host::Ip(IpAddr::V6(ip), zone) => {
            let scope = match zone {
                None => 0,
                Some(Zone::Index(index)) => *index,
                Some(Zone::Name(name)) => interface_index(name)?,
            };
            Ok(Some(SocketAddrV6::new(*ip, place.port, 0, scope).into()))
        }
        Host::Any | Host::Name(_) => Ok(None),
    }
}

#[cfg(unix)]
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    interface::index(name)
}

#[cfg(not(unix))]
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    Err(io::Error::new(io::ErrorKind::Unsupported, format!("zone {name}: write the number of the interface")))
}

async fn look_up(place: &Place, options: &LinkOptions) -> io::Result<Vec<SocketAddr>> {
    let Host::Name(name) = &place.host else { return Ok(Vec::new()) };
    // The resolver's errors have no kind of their own, and mean this in nearly all cases.
    let not_found = |why: &dyn fmt::Display| {
        io::Error::new(io::ErrorKind::NotFound, format!("name {name} not found: {why}"))
    };
    let found = lookup_host((name.as_str(), place.port)).await.map_err(|error| not_found(&error))?;
    let addresses: Vec<_> = found.filter(|address| options.ipv6 || address.is_ipv4()).collect();
    if addresses.is_empty() {
        return Err(not_found(&"it has no address of a version in use"));
    }
    Ok(addresses)
}

/// A listener on all addresses reports the unspecified one. Linux takes that for this machine; say so elsewhere.
pub(crate) fn reachable(target: SocketAddr) -> SocketAddr {
    let loopback = match target.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => return target,
    };
    SocketAddr::new(loopback, target.port())
}

/// An address as an endpoint.
pub(crate) fn endpoint_of(scheme: &str, address: SocketAddr) -> io::Result<Endpoint> {
    let address = match address.ip().to_canonical() {
        // Of a peer on a listener for both families.
        IpAddr::V4(ip) => SocketAddr::from((ip, address.port())),
        IpAddr::V6(_) => address,
    };
    Ok(Endpoint::new(scheme, address.to_string())?)
}

/// The same kind of error, with what it was about in front.
pub(crate) fn because(error: io::Error, what: fmt::Arguments<'_>) -> io::Error {
    io::Error::new(error.kind(), Because { what: what.to_string(), error })
}

/// Keeps what an error was made of.
#[derive(Debug)]
struct Because {
    what: String,
    error: io::Error,
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl Error for Because {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.get_ref().map(|inner| inner as _)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::TrustError;

    #[test]
    fn an_error_keeps_what_it_was_made_of() {
        let error = because(TrustError::Expired.into(), format_args!("cannot connect"));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "cannot connect: the peer's certificate has expired");
        assert_eq!(TrustError::of(&error), Some(&TrustError::Expired));
    }

    #[test]
    #[cfg(any(feature = "tcp", feature = "udp"))]
    fn every_address_has_its_turn() {
        let addresses = [1, 2, 3].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        for (failed, ports) in
            [(0, [1, 2, 3]), (1, [2, 3, 1]), (2, [3, 1, 2]), (3, [1, 2, 3]), (7, [2, 3, 1])]
        {
            let mut turned = addresses;
            turn(&mut turned, failed);
            assert_eq!(turned.map(|address| address.port()), ports);
        }
        turn(&mut [], 1);
    }

    #[test]
    fn the_time_left_is_shared() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let start = Instant::now();
            let deadline = Some(start + Duration::from_secs(6));
            let never = std::future::pending::<io::Result<()>>;
            for (parts, passed) in [(3, 2), (2, 4), (1, 6), (1, 6)] {
                let error = within(deadline, parts, never()).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert_eq!(start.elapsed().as_secs(), passed);
            }
        });
    }
}
