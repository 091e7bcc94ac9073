//! What sockets share: transports, in-process names, a runtime, and the count of running tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Once, OnceLock, Weak};

use tokio::runtime::{Builder, Handle, Runtime};
use zocket_transport::inproc::Hub;
use zocket_transport::{Endpoint, EndpointError, Purpose, Transport};

use crate::driver::Port;
use crate::pipe::PipeId;
use crate::pool::Pool;
use crate::sync::Tasks;

/// The scheme of in-process endpoints, which no transport serves: their peers share queues.
pub(crate) const INPROC: &str = "inproc";

/// A world of sockets: its in-process names, transports and, where there is no other, its runtime.
///
/// Most programs never name one: [`Socket::new`](crate::Socket::new) uses [`Context::global`]. Make one to
/// keep in-process names apart (each test its own), to add a [`Transport`], or to choose the number of threads
/// that serve sockets made outside a tokio runtime.
///
/// Clones are the same context.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use zocket::{Context, Pull, Push};
///
/// let context = Context::new();
/// let pull = Pull::builder().context(&context).build();
/// let push = Push::builder().context(&context).build();
/// pull.bind("inproc://jobs").await?;
/// push.connect("inproc://jobs")?;
/// push.send("hello").await?;
/// assert_eq!(pull.recv().await?, "hello");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    transports: BTreeMap<&'static str, Arc<dyn Transport>>,
    hub: Hub<Weak<dyn Port>, Waiter>,
    io_threads: usize,
    runtime: OnceLock<Runtime>,
    tasks: Arc<Tasks>,
    pool: Pool,
}

/// A pipe that waits for an in-process name to be bound.
pub(crate) type Waiter = (Weak<dyn Port>, PipeId);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("transports", &self.transports).finish_non_exhaustive()
    }
}

impl Context {
    /// A context with the built-in transports.
    #[must_use]
    pub fn new() -> Self {
        Self::with(1, built_in())
    }

    /// Starts one with options.
    pub fn builder() -> ContextBuilder {
        ContextBuilder { io_threads: 1, transports: Vec::new() }
    }

    /// The context of sockets that were given none.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Context> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// Waits until every connection and listener of this context's sockets has ended. Close or drop the
    /// sockets first; each then takes at most its linger time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only stops the waiting.
    pub async fn shutdown(&self) {
        self.shared.tasks.done().await;
    }

    fn with(io_threads: usize, transports: BTreeMap<&'static str, Arc<dyn Transport>>) -> Self {
        static WARM: Once = Once::new();
        WARM.call_once(warm_the_allocator);
        let shared = Shared {
            transports,
            hub: Hub::default(),
            io_threads: io_threads.max(1),
            runtime: OnceLock::new(),
            tasks: Arc::default(),
            pool: Pool::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn hub(&self) -> &Hub<Weak<dyn Port>, Waiter> {
        &self.shared.hub
    }

    /// The buffers of its queues.
    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    pub(crate) fn tasks(&self) -> &Arc<Tasks> {
        &self.shared.tasks
    }

    /// The transport that serves an endpoint, once that has found its address in order; `None` for in-process.
    pub(crate) fn transport(
        &self,
        endpoint: &Endpoint,
        purpose: Purpose,
    ) -> Result<Option<Arc<dyn Transport>>, EndpointError> {
        if endpoint.scheme() == INPROC {
            return Ok(None);
        }
        let Some(transport) = self.shared.transports.get(endpoint.scheme()) else {
            let known = self.shared.transports.keys().copied().chain([INPROC]);
            return Err(EndpointError::unknown_scheme(endpoint, known));
        };
        transport.check(endpoint, purpose)?;
        Ok(Some(Arc::clone(transport)))
    }

    /// The runtime for drivers of a socket that was made outside one.
    pub(crate) fn own_runtime(&self) -> io::Result<Handle> {
        if let Some(runtime) = self.shared.runtime.get() {
            return Ok(runtime.handle().clone());
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.shared.io_threads)
            .thread_name("zocket-io")
            .enable_all()
            .build()?;
        // Another thread may have been faster; then ours is not needed.
        if let Err(surplus) = self.shared.runtime.set(runtime) {
            surplus.shutdown_background();
        }
        self.shared
            .runtime
            .get()
            .map(|runtime| runtime.handle().clone())
            .ok_or_else(|| io::ErrorKind::Other.into())
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is forbidden inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lets glibc keep the memory of what is under way.
///
/// It returns the end of its heap to the kernel whenever 128 KiB of it are free, so a few messages of 32 KiB that
/// leave together are pages to be faulted in again for the next few. Both of its thresholds follow the largest
/// block that was ever freed: after one of 4 MiB, 8 MiB may stay free. The block is never written to, so it costs
/// one system call each way; other allocators do not care.
///
/// Messages a second over tcp, interleaved: 32 KiB 1.5 times as many, 256 KiB 1.25, 4 KiB 1.05.
fn warm_the_allocator() {
    const KEPT: usize = 4 << 20;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

fn built_in() -> BTreeMap<&'static str, Arc<dyn Transport>> {
    let transports: Vec<Arc<dyn Transport>> = vec![
        #[cfg(feature = "tcp")]
        Arc::new(zocket_transport::tcp::Tcp::new()),
        #[cfg(all(feature = "ipc", unix))]
        Arc::new(zocket_transport::ipc::Ipc::new()),
        #[cfg(feature = "udp")]
        Arc::new(zocket_transport::udp::Udp::new()),
    ];
    transports
        .into_iter()
        .flat_map(|transport| transport.schemes().iter().map(move |scheme| (*scheme, Arc::clone(&transport))))
        .collect()
}

/// Options of a [`Context`].
#[derive(Debug)]
#[must_use]
pub struct ContextBuilder {
    io_threads: usize,
    transports: Vec<Arc<dyn Transport>>,
}

impl ContextBuilder {
    /// How many threads serve sockets made outside a tokio runtime. They start with the first such socket.
    /// Default 1: it moves gigabytes a second.
    pub const fn io_threads(mut self, threads: usize) -> Self {
        self.io_threads = threads;
        self
    }

    /// Adds a transport for schemes of its own.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transports.push(Arc::new(transport));
        self
    }

    /// Makes the context.
    ///
    /// # Errors
    ///
    /// A scheme is served twice, or is `inproc`.
    pub fn build(self) -> Result<Context, SchemeTaken> {
        let mut transports = built_in();
        for transport in self.transports {
            for scheme in transport.schemes() {
                let taken = transports.insert(scheme, Arc::clone(&transport)).is_some();
                if taken || *scheme == INPROC {
                    return Err(SchemeTaken { scheme });
                }
            }
        }
        Ok(Context::with(self.io_threads, transports))
    }
}

/// Two transports serve the same scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("scheme {scheme:?} is served already")]
#[non_exhaustive]
pub struct SchemeTaken {
    /// The scheme.
    pub scheme: &'static str,
}
