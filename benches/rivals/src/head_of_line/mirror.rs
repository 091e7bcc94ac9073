//! A host with a network device that is a mirror: what is sent to the address on its far side comes back as if sent from
//! there. So the kernel's own TCP runs between two sockets of this process, over a line whose weather we make.
//!
//! A packet's sender and receiver are exchanged and nothing else: a sum of both stays the same, so checksums hold.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread;

use bad_network::{Exit, Weather, carry};
use nix::sched::{CloneFlags, unshare};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tun::Tun;
use zocket::Endpoint;

use crate::Outcome;

/// Where the host listens, and where that is seen in the mirror.
pub(super) const OURS: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const IMAGE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

const MTU: u16 = 1500;

/// How many packets may be on the line: a kernel's window of 4 MiB, and their answers.
const ON_THE_LINE: usize = 8192;

/// Sender and receiver in the header of IPv4 (RFC 791, section 3.1).
const ADDRESSES: std::ops::Range<usize> = 12..20;

/// Runs something where this machine's network is not seen, nor it from there: in a network namespace of its own, which
/// the runtime that it makes shares.
pub(super) fn on_host_of_its_own<T: Send>(run: impl FnOnce() -> Outcome<T> + Send) -> Result<T, String> {
    let outcome = thread::scope(|scope| {
        let host = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|why| why.to_string())?;
            run().map_err(|why| why.to_string())
        });
        host.join()
    });
    outcome.unwrap_or_else(|_| Err("it panicked".into()))
}

/// The device, which works until it is dropped.
pub(super) struct Mirror {
    _working: JoinSet<()>,
}

impl Mirror {
    pub(super) fn new(weather: Weather) -> Outcome<Self> {
        let device = Tun::builder().address(OURS).destination(IMAGE).mtu(MTU.into()).up().build()?;
        let device = Arc::new(device.into_iter().next().ok_or("no device was made")?);
        let (packets, on_the_line) = mpsc::channel(ON_THE_LINE);
        let mut working = JoinSet::new();
        working.spawn(carry(on_the_line, weather, Surface(Arc::clone(&device))));
        working.spawn(async move {
            let mut packet = vec![0; MTU.into()];
            while let Ok(length) = device.recv(&mut packet).await {
                // What finds no room is lost, as in any router.
                packets.try_send(packet[..length].to_vec()).ok();
            }
        });
        Ok(Self { _working: working })
    }

    /// Where an endpoint of the host is seen.
    pub(super) fn image(&self, of: &Endpoint) -> Outcome<Endpoint> {
        Ok(of.to_string().replace(&OURS.to_string(), &IMAGE.to_string()).parse()?)
    }
}

struct Surface(Arc<Tun>);

impl Exit for Surface {
    async fn pass(&self, packet: &[u8]) {
        let mut packet = packet.to_vec();
        if let Some(addresses) = packet.get_mut(ADDRESSES) {
            addresses.rotate_left(4);
            // What the kernel does not take is lost.
            self.0.send(&packet).await.ok();
        }
    }
}
