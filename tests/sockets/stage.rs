//! Setting sockets up: places to meet, links that are known to be up, peers that do not read.
//!
//! Every wait has a deadline, which only a failure ever meets, and says where it was waiting.

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{
    Context, Dropped, Endpoint, Event, LinkOptions, Monitor, Pattern, Peer, PipeId, Receives, Sends, Socket,
    SocketBuilder, TrySendError,
};

/// Far beyond what anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Awaits `work`, which must be done before the deadline. Done at the deadline is late: then the time-out woke it, and
/// nobody else did.
#[track_caller]
pub(crate) fn soon<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        match tokio::time::timeout_at(deadline, work).await {
            Ok(output) if tokio::time::Instant::now() < deadline => output,
            _ => panic!("still waiting at {place}"),
        }
    }
}

/// Awaits `work` on a thread that no runtime has heard of.
pub(crate) fn block_on<F: Future>(work: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut work = std::pin::pin!(work);
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        if let std::task::Poll::Ready(output) =
            work.as_mut().poll(&mut std::task::Context::from_waker(&waker))
        {
            return output;
        }
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        assert!(!left.is_zero(), "still waiting");
        std::thread::park_timeout(left);
    }
}

/// Lets other tasks run until `condition` holds: for what no event announces.
#[track_caller]
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    soon(async move {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    Ipc,
    Quic,
    /// Best effort, and so in none of the lists below.
    Udp,
    Inproc,
}

pub(crate) const SCHEMES: [Scheme; 4] = [Scheme::Tcp, Scheme::Ipc, Scheme::Quic, Scheme::Inproc];

/// The transports whose peers are separated by a kernel.
pub(crate) const WIRES: [Scheme; 3] = [Scheme::Tcp, Scheme::Ipc, Scheme::Quic];

/// A context with every transport, where all know and trust one key.
pub(crate) fn context() -> Context {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| Identity::generate().unwrap());
    let trust = Trust::keys([IDENTITY.fingerprint()]);
    let quic = Quic::server(IDENTITY.clone()).trust(trust.clone()).admit(trust);
    Context::builder().transport(quic).build().unwrap()
}

/// Sockets of a context that the tests of a thread, usually one, have for themselves.
pub(crate) trait Staged: Sized {
    type Pattern: Pattern;

    fn set_up() -> SocketBuilder<Self::Pattern>;

    fn staged() -> Self;
}

impl<P: Pattern> Staged for Socket<P> {
    type Pattern = P;

    fn set_up() -> SocketBuilder<P> {
        thread_local!(static CONTEXT: Context = context());
        CONTEXT.with(|context| Self::builder().context(context))
    }

    fn staged() -> Self {
        Self::set_up().build()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    BindFirst,
    ConnectFirst,
}

/// Every transport, either side starting first.
pub(crate) fn ways() -> impl Iterator<Item = (Scheme, Order)> {
    SCHEMES.into_iter().flat_map(|scheme| [(scheme, Order::BindFirst), (scheme, Order::ConnectFirst)])
}

static NEXT: AtomicU32 = AtomicU32::new(0);

fn unique() -> String {
    format!("zocket-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An endpoint nobody uses yet. Its folder, if it has one, goes with it.
pub(crate) struct Place {
    pub(crate) endpoint: Endpoint,
    folder: Option<PathBuf>,
}

impl Place {
    pub(crate) fn new(scheme: Scheme) -> Self {
        let (text, folder) = match scheme {
            Scheme::Tcp => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
                (format!("tcp://{}", listener.local_addr().unwrap()), None)
            }
            Scheme::Ipc => {
                let folder = std::env::temp_dir().join(unique());
                fs::create_dir(&folder).unwrap();
                (format!("ipc://{}", folder.join("socket").display()), Some(folder))
            }
            Scheme::Quic | Scheme::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let name = if scheme == Scheme::Quic { "quic" } else { "udp" };
                (format!("{name}://{}", socket.local_addr().unwrap()), None)
            }
            Scheme::Inproc => (format!("inproc://{}", unique()), None),
        };
        Self { endpoint: text.parse().unwrap(), folder }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            fs::remove_dir_all(folder).ok();
        }
    }
}

/// Binds `binder` and connects `connecter` in the given order. Returns when both have finished the handshake.
pub(crate) async fn meet<A: Pattern, B: Pattern>(
    binder: &Socket<A>,
    connecter: &Socket<B>,
    (scheme, order): (Scheme, Order),
) -> Place {
    let place = Place::new(scheme);
    let (mut bound, mut connected) = (binder.monitor(), connecter.monitor());
    if order == Order::ConnectFirst {
        connecter.connect(&place.endpoint).unwrap();
    }
    soon(binder.bind(&place.endpoint)).await.unwrap();
    if order == Order::BindFirst {
        connecter.connect(&place.endpoint).unwrap();
    }
    ready(&mut bound).await;
    ready(&mut connected).await;
    place
}

/// As [`meet`], over tcp and bind first.
pub(crate) async fn meet_tcp<A: Pattern, B: Pattern>(binder: &Socket<A>, connecter: &Socket<B>) -> Place {
    meet(binder, connecter, (Scheme::Tcp, Order::BindFirst)).await
}

/// Connects one more socket to a place, and waits until both sides know.
pub(crate) async fn join<A: Pattern, B: Pattern>(
    binder: &Socket<A>,
    connecter: &Socket<B>,
    place: &Endpoint,
) -> PipeId {
    let (mut bound, mut connected) = (binder.monitor(), connecter.monitor());
    connecter.connect(place).unwrap();
    ready(&mut connected).await;
    ready(&mut bound).await
}

/// The first event that `pick` takes.
#[track_caller]
pub(crate) fn event<T>(
    monitor: &mut Monitor,
    mut pick: impl FnMut(Event) -> Option<T>,
) -> impl Future<Output = T> {
    soon(async move {
        loop {
            let event = monitor.next().await.expect("the socket is open");
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
}

#[track_caller]
pub(crate) fn ready(monitor: &mut Monitor) -> impl Future<Output = PipeId> {
    event(monitor, |event| if let Event::Ready { pipe, .. } = event { Some(pipe) } else { None })
}

#[track_caller]
pub(crate) fn disconnected(monitor: &mut Monitor) -> impl Future<Output = zocket::Disconnect> {
    event(monitor, |event| if let Event::Disconnected { reason, .. } = event { Some(reason) } else { None })
}

/// All `QueueFull` drops that have been reported by now.
pub(crate) fn reported(monitor: &mut Monitor) -> u64 {
    let mut total = 0;
    while let Some(Some(event)) = futures::FutureExt::now_or_never(monitor.next()) {
        if let Event::Dropped { messages, reason: Dropped::QueueFull, .. } = event {
            total += messages;
        }
    }
    total
}

/// More than small kernel buffers and what a driver reads ahead hold: what is under way cannot get through, so
/// queues that stand stay as they are.
pub(crate) const LARGE: usize = 1 << 20;

/// The smallest kernel buffers: a peer that does not read is felt at once.
pub(crate) fn small_buffers() -> LinkOptions {
    let mut link = LinkOptions::default();
    link.send_buffer = Some(4096);
    link.receive_buffer = Some(4096);
    link
}

/// The only pipe of a socket.
pub(crate) fn only_peer<P: Pattern>(socket: &Socket<P>) -> Peer {
    let mut peers = socket.peers();
    assert_eq!(peers.len(), 1, "{peers:?}");
    peers.remove(0)
}

/// Sends numbered messages of `size` bytes, from `first`, until the socket takes no more. Returns how many.
pub(crate) fn fill<P: Sends>(socket: &Socket<P>, first: u32, size: usize) -> u32 {
    for number in first.. {
        match socket.try_send(numbered(number, size)) {
            Ok(()) => {}
            Err(TrySendError::Full(message)) => {
                assert_eq!(number_of(&message), number, "the message comes back");
                return number - first;
            }
            Err(other) => panic!("{other}"),
        }
    }
    0
}

/// As long without room for a message, all on the way stands still: small kernel buffers move in fits, for a closed
/// window is probed after 200 ms.
pub(crate) const STILL: Duration = Duration::from_millis(400);

/// Fills a socket until it stays full: nothing trickles into the kernel any more. Returns how many it took.
pub(crate) async fn fill_up<P: Sends>(socket: &Socket<P>, size: usize) -> u32 {
    fill_with(socket, |number| numbered(number, size)).await
}

/// As [`fill_up`], with messages made from their number.
pub(crate) async fn fill_with<P: Sends, M: zocket::IntoMessage>(
    socket: &Socket<P>,
    message: impl Fn(u32) -> M,
) -> u32 {
    let mut total = 0;
    loop {
        while socket.try_send(message(total)).is_ok() {
            total += 1;
        }
        let Ok(sent) = tokio::time::timeout(STILL, socket.send(message(total))).await else {
            match socket.try_send(message(total)) {
                Ok(()) => total += 1,
                Err(TrySendError::Full(_)) => return total,
                Err(other) => panic!("{other}"),
            }
            continue;
        };
        sent.unwrap();
        total += 1;
    }
}

pub(crate) fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut body = vec![0; size.max(4)];
    body[..4].copy_from_slice(&number.to_be_bytes());
    body
}

pub(crate) fn number_of(message: &zocket::Message) -> u32 {
    u32::from_be_bytes(message.last()[..4].try_into().unwrap())
}

/// Receives `count` messages and checks that they are those from `first` on, in order.
pub(crate) async fn expect_run<P: Receives>(socket: &Socket<P>, first: u32, count: u32) {
    for number in first..first + count {
        let message = soon(socket.recv()).await.unwrap();
        assert_eq!(number_of(&message), number);
    }
}

/// A peer made of plain TCP, which goes as far with the protocol as a test wants.
pub(crate) struct Puppet {
    pub(crate) listener: TcpListener,
    pub(crate) endpoint: Endpoint,
}

impl Puppet {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        Self { listener, endpoint }
    }

    /// Accepts, and finishes the handshake as a socket of this type.
    pub(crate) async fn accept(&self, kind: &str) -> TcpStream {
        let (mut stream, _) = soon(self.listener.accept()).await.unwrap();
        handshake(&mut stream, kind, false).await;
        stream
    }
}

/// What a socket of this type says first: a greeting of ZMTP 3.1 and a READY, with NULL.
pub(crate) fn opening(kind: &str, as_server: bool) -> Vec<u8> {
    let mut said = vec![0_u8; 64];
    said[..10].copy_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
    said[10] = 3;
    said[11] = 1;
    said[12..16].copy_from_slice(b"NULL");
    said[32] = u8::from(as_server);
    let mut body = b"\x05READY\x0bSocket-Type".to_vec();
    body.extend_from_slice(&u32::try_from(kind.len()).unwrap().to_be_bytes());
    body.extend_from_slice(kind.as_bytes());
    said.extend([4, u8::try_from(body.len()).unwrap()]);
    said.extend(body);
    said
}

/// Plays the NULL handshake of ZMTP 3.1 by hand.
pub(crate) async fn handshake(stream: &mut TcpStream, kind: &str, as_server: bool) {
    soon(stream.write_all(&opening(kind, as_server))).await.unwrap();
    let mut theirs = [0_u8; 64];
    soon(stream.read_exact(&mut theirs)).await.unwrap();
    read_frame(stream).await.expect("READY");
}

/// The next frame: its flags and body. `None` when the connection ended, be it within a frame.
pub(crate) async fn read_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    soon(async {
        let flags = stream.read_u8().await.ok()?;
        let len = if flags & 2 == 0 {
            u64::from(stream.read_u8().await.ok()?)
        } else {
            stream.read_u64().await.ok()?
        };
        let mut body = vec![0; usize::try_from(len).unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        Some((flags, body))
    })
    .await
}
