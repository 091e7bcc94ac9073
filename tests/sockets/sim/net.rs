//! A simulated network, as a transport of one's own: `sim://name`, in virtual time and out of one seed.
//!
//! A link is two queues of bytes with a capacity (the kernels' buffers) and a latency. Some links are cut: when so
//! many bytes have been written, or at a moment, and then what is under way is lost, both ends hear of it, and dialling
//! may fail for a while. Every byte written and how far it was read is on record, so that a test can say exactly
//! which messages a dead link has swallowed ([`Net::swallowed`]).

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use zocket::transport::{BoxFuture, Incoming, Link, Listener, Purpose, Transport, Wire};
use zocket::{Endpoint, EndpointError, LinkOptions};

/// What links are like.
#[derive(Debug, Clone)]
pub(super) struct Weather {
    pub(super) latency: Duration,
    /// How many bytes a direction holds.
    pub(super) capacity: usize,
    /// How many links are still to be cut, each before this many bytes of a direction.
    pub(super) cuts: u32,
    pub(super) cut_within: u64,
    /// How many attempts fail in a row at most.
    pub(super) refusals: u32,
}

impl Weather {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        Self {
            latency: Duration::from_micros(random.u64(..20_000)),
            capacity: 1 << random.u32(3..18),
            cuts: if random.bool() { 0 } else { random.u32(1..6) },
            cut_within: 1 << random.u32(6..18),
            refusals: random.u32(..3),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Net(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    weather: Weather,
    refusals: u32,
    listeners: HashMap<String, mpsc::UnboundedSender<Link>>,
    links: Vec<Shared>,
}

type Shared = Arc<Mutex<Cable>>;

/// Both directions of a link: 0 is the dialling side's, 1 the other's.
#[derive(Debug)]
struct Cable {
    ways: [Way; 2],
    capacity: usize,
    latency: Duration,
    is_cut: bool,
    cut_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Way {
    under_way: VecDeque<(Instant, u8)>,
    /// All that was ever written.
    record: Vec<u8>,
    read: usize,
    cut_after: Option<usize>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl Net {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(State {
            random,
            weather,
            refusals: 0,
            listeners: HashMap::new(),
            links: Vec::new(),
        })))
    }

    /// No link is cut from now on, nor any attempt refused.
    pub(super) fn heal(&self) {
        let mut state = lock(&self.0);
        (state.weather.cuts, state.refusals) = (0, 0);
        for link in &state.links {
            let mut cable = lock(link);
            cable.cut_at = None;
            cable.ways.iter_mut().for_each(|way| way.cut_after = None);
        }
    }

    pub(super) fn cuts(&self) -> usize {
        lock(&self.0).links.iter().filter(|link| lock(link).is_cut).count()
    }

    /// The messages that were written wholly to a link and not read wholly at its other end, by first frame.
    pub(super) fn swallowed(&self) -> Vec<Vec<u8>> {
        let state = lock(&self.0);
        let mut lost = Vec::new();
        for link in &state.links {
            for way in &lock(link).ways {
                lost.extend(
                    messages(&way.record)
                        .into_iter()
                        .filter(|(end, _)| *end > way.read)
                        .map(|(_, first)| first),
                );
            }
        }
        lost
    }

    fn connect(&self, to: &Endpoint) -> io::Result<Link> {
        let mut state = lock(&self.0);
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        if state.refusals > 0 {
            state.refusals -= 1;
            return Err(refused());
        }
        let listener = state.listeners.get(to.address()).cloned().ok_or_else(refused)?;
        let Weather { latency, capacity, cuts, cut_within, refusals } = state.weather.clone();
        let (mut ways, mut cut_at) = ([Way::default(), Way::default()], None);
        if cuts > 0 {
            state.weather.cuts -= 1;
            state.refusals = state.random.u32(..=refusals);
            match state.random.usize(..3) {
                2 => cut_at = Some(Instant::now() + Duration::from_millis(state.random.u64(..500))),
                way => {
                    ways[way].cut_after = Some(usize::try_from(state.random.u64(..cut_within)).unwrap());
                }
            }
        }
        let cable = Arc::new(Mutex::new(Cable { ways, capacity, latency, is_cut: false, cut_at }));
        state.links.push(Arc::clone(&cable));
        let us = Endpoint::new("sim", format!("caller-{}", state.links.len())).map_err(io::Error::other)?;
        let end =
            |writes| Wire::Stream(Box::new(End { cable: Arc::clone(&cable), writes, timers: [None, None] }));
        listener.send(Link::new(end(1), to.clone(), us.clone())).map_err(|_| refused())?;
        Ok(Link::new(end(0), us, to.clone()))
    }
}

/// The messages in what one side of a ZMTP 3 connection wrote: where each ends, and its first frame.
fn messages(record: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let (mut found, mut first, mut at) = (Vec::new(), None, 64);
    while let Some(&[flags, short]) = record.get(at..at + 2) {
        let (head, body) = if flags & 2 == 0 {
            (2, usize::from(short))
        } else {
            let Some(size) = record.get(at + 1..at + 9) else { break };
            (9, usize::try_from(u64::from_be_bytes(size.try_into().unwrap())).unwrap())
        };
        let Some(payload) = record.get(at + head..at + head + body) else { break };
        at += head + body;
        if flags & 4 == 0 {
            first.get_or_insert_with(|| payload.to_vec());
            if flags & 1 == 0 {
                found.extend(first.take().map(|first| (at, first)));
            }
        }
    }
    found
}

impl Transport for Net {
    fn schemes(&self) -> &'static [&'static str] {
        &["sim"]
    }

    fn check(&self, _: &Endpoint, _: Purpose) -> Result<(), EndpointError> {
        Ok(())
    }

    fn connect(&self, to: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let (net, to) = (self.clone(), to.clone());
        Box::pin(async move {
            let latency = lock(&net.0).weather.latency;
            sleep(latency).await;
            net.connect(&to)
        })
    }

    fn bind(&self, at: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (net, endpoint) = (self.clone(), at.clone());
        Box::pin(async move {
            let (to, calls) = mpsc::unbounded_channel();
            if lock(&net.0).listeners.insert(endpoint.address().to_owned(), to).is_some() {
                return Err(ErrorKind::AddrInUse.into());
            }
            Ok(Box::new(Bound { net, endpoint, calls }) as Box<dyn Listener>)
        })
    }
}

#[derive(Debug)]
struct Bound {
    net: Net,
    endpoint: Endpoint,
    calls: mpsc::UnboundedReceiver<Link>,
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let link = self.calls.recv().await.ok_or(ErrorKind::NotConnected)?;
            Ok(Incoming::new(std::future::ready(Ok(link))))
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        lock(&self.net.0).listeners.remove(self.endpoint.address());
    }
}

/// One end of a link.
#[derive(Debug)]
struct End {
    cable: Shared,
    writes: usize,
    /// When something to read arrives, and when a writer that waits is cut off.
    timers: [Option<Pin<Box<Sleep>>>; 2],
}

impl Cable {
    fn cut(&mut self) {
        self.is_cut = true;
        for way in &mut self.ways {
            way.under_way.clear();
            way.wake();
        }
    }

    fn check(&mut self) -> io::Result<()> {
        if !self.is_cut && self.cut_at.is_some_and(|at| at <= Instant::now()) {
            self.cut();
        }
        if self.is_cut { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl Way {
    fn wake(&mut self) {
        [self.reader.take(), self.writer.take()].into_iter().flatten().for_each(Waker::wake);
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let mut cable = lock(&this.cable);
            cable.check()?;
            let (now, cut_at) = (Instant::now(), cable.cut_at);
            let way = &mut cable.ways[1 - this.writes];
            let arrived = way.under_way.partition_point(|(at, _)| *at <= now).min(into.remaining());
            if arrived > 0 || (way.ended && way.under_way.is_empty()) {
                way.under_way.drain(..arrived).for_each(|(_, byte)| into.put_slice(&[byte]));
                way.read += arrived;
                way.writer.take().into_iter().for_each(Waker::wake);
                return Poll::Ready(Ok(()));
            }
            way.reader = Some(cx.waker().clone());
            let next = way.under_way.front().map(|(at, _)| *at).into_iter().chain(cut_at).min();
            drop(cable);
            let Some(next) = next else { return Poll::Pending };
            let timer = this.timers[0].insert(Box::pin(sleep_until(next)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut cable = lock(&this.cable);
        cable.check()?;
        let (capacity, arrives, cut_at) = (cable.capacity, Instant::now() + cable.latency, cable.cut_at);
        let way = &mut cable.ways[this.writes];
        let mut room = capacity.saturating_sub(way.under_way.len());
        if let Some(after) = way.cut_after {
            room = room.min(after - way.record.len());
            if after == way.record.len() {
                cable.cut();
                return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
            }
        }
        if room == 0 {
            way.writer = Some(cx.waker().clone());
            if let Some(cut_at) = cut_at {
                // It is in the future, or the check would have found it.
                let timer = this.timers[1].insert(Box::pin(sleep_until(cut_at)));
                assert!(timer.as_mut().poll(cx).is_pending(), "virtual time stands still while a task runs");
            }
            return Poll::Pending;
        }
        let taken = &bytes[..room.min(bytes.len())];
        way.under_way.extend(taken.iter().map(|byte| (arrives, *byte)));
        way.record.extend_from_slice(taken);
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut cable = lock(&self.cable);
        cable.check()?;
        cable.ways[self.writes].ended = true;
        cable.ways[self.writes].wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut cable = lock(&self.cable);
        cable.ways[self.writes].ended = true;
        // As in tcp: whoever writes to an end that is gone is reset.
        if !cable.ways[1 - self.writes].ended || !cable.ways[1 - self.writes].under_way.is_empty() {
            cable.ways[1 - self.writes].cut_after = Some(cable.ways[1 - self.writes].record.len());
        }
        cable.ways.iter_mut().for_each(Way::wake);
    }
}
