//! A network not to be relied on: a relay of UDP between clients and a server, which by chance loses packets, doubles
//! them, and holds them until others have overtaken them.
//!
//! Clients send to its one port, and it has a port towards the server for each of them, as a router has that shares an
//! address. What becomes of the nth packet of a direction follows from the seed, whatever the packets are. All that it
//! does is counted.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "whatever goes wrong fails the test that met it"
)]
#![expect(clippy::exhaustive_structs, reason = "nobody outside this repository uses it")]

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use zocket_transport::Endpoint;

/// What UDP can carry.
const LARGEST: usize = 65_535;

/// How many packets wait between the port of the clients and the line of one of them; what is more is lost, and counted.
const WAITING: usize = 1024;

/// Chances in percent, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// What becomes of each packet follows from it.
    pub seed: u64,
    /// How many are lost.
    pub lost: u32,
    /// How many come twice.
    pub doubled: u32,
    /// How many are held back.
    pub held: u32,
    /// How long a held packet waits at most, beside the latency.
    pub hold: Duration,
    /// One way.
    pub latency: Duration,
}

impl Weather {
    /// So many percent of everything bad, at a distance that differs from seed to seed.
    #[must_use]
    pub const fn of(percent: u32, seed: u64) -> Self {
        Self {
            seed,
            lost: percent,
            doubled: percent,
            held: percent,
            hold: Duration::from_millis(5),
            latency: Duration::from_millis(2 * seed),
        }
    }
}

/// What a direction did with its packets. Copies are not among those that arrived.
#[derive(Debug, Default)]
pub struct Counts {
    /// Came here.
    pub arrived: Count,
    /// Went no further.
    pub lost: Count,
    /// Went on twice.
    pub doubled: Count,
    /// Passed on, for the first time, behind one that had arrived later.
    pub overtaken: Count,
}

impl Counts {
    /// How many were passed on, with their copies.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.arrived.get() - self.lost.get() + self.doubled.get()
    }
}

/// A number that grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    fn one_more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So many by now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A relay, which works until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where clients connect to.
    pub address: SocketAddr,
    /// What it did with what clients sent.
    pub to_server: Arc<Counts>,
    /// What it did with what the server sent.
    pub to_clients: Arc<Counts>,
    lines: Lines,
    _carrying: JoinSet<()>,
}

/// A line to the server for each client, by its address.
type Lines = Arc<Mutex<HashMap<SocketAddr, Line>>>;

#[derive(Debug)]
struct Line {
    packets: mpsc::Sender<Vec<u8>>,
    _carrying: JoinSet<()>,
}

impl Relay {
    /// In front of a bound endpoint. It works until it is dropped.
    pub async fn new(server: &Endpoint, weather: Weather) -> Self {
        Self::counting(server, weather, |_| true).await
    }

    /// As [`new`](Self::new), and what it does with other packets is not counted.
    pub async fn counting(server: &Endpoint, weather: Weather, counts: fn(&[u8]) -> bool) -> Self {
        let server = server.address().parse().unwrap();
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let (to_server, to_clients) = (Arc::default(), Arc::default());
        let lines = Lines::default();
        let mut carrying = JoinSet::new();
        let sorting = Sorting {
            front,
            server,
            weather,
            is_counted: counts,
            counts: [Arc::clone(&to_server), Arc::clone(&to_clients)],
            lines: Arc::clone(&lines),
        };
        carrying.spawn(sorting.work());
        Self { address, to_server, to_clients, lines, _carrying: carrying }
    }

    /// Where clients connect to, as an endpoint.
    #[must_use]
    pub fn endpoint(&self, scheme: &str) -> Endpoint {
        format!("{scheme}://{}", self.address).parse().unwrap()
    }

    /// Forgets its clients, as a router does that restarts: what comes next reaches the server from another port.
    pub fn forget(&self) {
        self.lines.lock().unwrap().clear();
    }

    /// How many packets it has lost, of both directions.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.both(|counts| &counts.lost)
    }

    /// Whether each of its evils has happened.
    #[must_use]
    pub fn was_bad(&self) -> bool {
        self.lost() * self.both(|counts| &counts.doubled) * self.both(|counts| &counts.overtaken) > 0
    }

    fn both(&self, count: impl Fn(&Counts) -> &Count) -> u64 {
        count(&self.to_server).get() + count(&self.to_clients).get()
    }
}

/// Sorts what comes from clients into their lines.
struct Sorting {
    front: Arc<UdpSocket>,
    server: SocketAddr,
    weather: Weather,
    is_counted: fn(&[u8]) -> bool,
    /// To the server, and to the clients.
    counts: [Arc<Counts>; 2],
    lines: Lines,
}

impl Sorting {
    async fn work(self) {
        let (mut buffer, mut opened) = (vec![0; LARGEST], 0);
        loop {
            // An error is of an earlier packet, which a client no longer waits for.
            let Ok((length, client)) = self.front.recv_from(&mut buffer).await else { continue };
            let packets = self.lines.lock().unwrap().get(&client).map(|line| line.packets.clone());
            let packets = match packets {
                Some(packets) => packets,
                None => {
                    opened += 1;
                    self.open(client, opened).await
                }
            };
            if packets.try_send(buffer[..length].to_vec()).is_err() {
                self.counts[0].arrived.one_more();
                self.counts[0].lost.one_more();
            }
        }
    }

    async fn open(&self, client: SocketAddr, number: u64) -> mpsc::Sender<Vec<u8>> {
        let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let mut carrying = JoinSet::new();
        let ends = [(&back, self.server), (&self.front, client)];
        let [up, down] = [0, 1].map(|direction| {
            let (packets, waiting) = mpsc::channel(WAITING);
            let counts = Arc::clone(&self.counts[direction]);
            let seed = self.weather.seed << 32 | number << 1 | u64::try_from(direction).unwrap();
            let random = fastrand::Rng::with_seed(seed);
            let exit = Towards { socket: Arc::clone(ends[direction].0), to: ends[direction].1 };
            let (weather, is_counted) = (self.weather, self.is_counted);
            let direction = Direction { weather, random, is_counted, counts, exit };
            carrying.spawn(direction.carry(waiting));
            packets
        });
        carrying.spawn(async move {
            let mut buffer = vec![0; LARGEST];
            loop {
                // An error is of an earlier packet, for which the server was not there.
                let Ok(length) = back.recv(&mut buffer).await else { continue };
                down.send(buffer[..length].to_vec()).await.ok();
            }
        });
        let line = Line { packets: up.clone(), _carrying: carrying };
        self.lines.lock().unwrap().insert(client, line);
        up
    }
}

struct Packet {
    bytes: Vec<u8>,
    is_copy: bool,
    is_counted: bool,
}

/// Where packets go that were not lost.
pub trait Exit: Send {
    /// Passes a packet on, or not.
    fn pass(&self, packet: &[u8]) -> impl Future<Output = ()> + Send;
}

/// A socket's way to an address.
struct Towards {
    socket: Arc<UdpSocket>,
    to: SocketAddr,
}

impl Exit for Towards {
    async fn pass(&self, packet: &[u8]) {
        // Who is not there loses it.
        self.socket.send_to(packet, self.to).await.ok();
    }
}

/// Does to packets of any kind what a relay does to those of a client, until no more can come.
pub async fn carry(packets: mpsc::Receiver<Vec<u8>>, weather: Weather, exit: impl Exit) {
    let (random, counts) = (fastrand::Rng::with_seed(weather.seed), Arc::default());
    Direction { weather, random, is_counted: |_| true, counts, exit }.carry(packets).await;
}

/// From one client to the server, or back.
struct Direction<E> {
    weather: Weather,
    random: fastrand::Rng,
    is_counted: fn(&[u8]) -> bool,
    counts: Arc<Counts>,
    exit: E,
}

impl<E: Exit> Direction<E> {
    async fn carry(mut self, mut packets: mpsc::Receiver<Vec<u8>>) {
        // By when they are due, then as they arrived.
        let mut under_way = BTreeMap::<(Instant, u64), Packet>::new();
        let (mut arrived, mut latest) = (0, 0);
        loop {
            while let Some(next) = under_way.first_entry().filter(|next| next.key().0 <= Instant::now()) {
                let ((_, number), packet) = next.remove_entry();
                if packet.is_counted {
                    if number < latest && !packet.is_copy {
                        self.counts.overtaken.one_more();
                    }
                    latest = latest.max(number);
                }
                self.exit.pass(&packet.bytes).await;
            }
            let packet = match under_way.first_key_value() {
                None => packets.recv().await,
                Some(((due, _), _)) => match timeout_at(*due, packets.recv()).await {
                    Ok(packet) => packet,
                    Err(_) => continue,
                },
            };
            let Some(bytes) = packet else { return };
            let is_counted = (self.is_counted)(&bytes);
            for (due, is_copy) in self.fate(is_counted).into_iter().zip([false, true]) {
                under_way.insert((due, arrived), Packet { bytes: bytes.clone(), is_copy, is_counted });
            }
            arrived += 1;
        }
    }

    /// When a packet that arrives now is passed on: not at all, once or twice.
    fn fate(&mut self, is_counted: bool) -> Vec<Instant> {
        let Weather { lost, doubled, held, hold, latency, .. } = self.weather;
        let random = &mut self.random;
        let mut chance = |percent| random.u32(..100) < percent;
        let (lost, doubled, held) = (chance(lost), chance(doubled), chance(held));
        let (first, second) = (hold.mul_f64(random.f64()), hold.mul_f64(random.f64()));
        let count = |count: &Count| {
            if is_counted {
                count.one_more();
            }
        };
        count(&self.counts.arrived);
        if lost {
            count(&self.counts.lost);
            return Vec::new();
        }
        let due = Instant::now() + latency;
        let mut times = vec![if held { due + first } else { due }];
        if doubled {
            count(&self.counts.doubled);
            // A key of its own.
            times.push(times[0] + second + Duration::from_nanos(1));
        }
        times
    }
}
