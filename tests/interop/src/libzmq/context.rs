//! The context: libzmq's I/O threads and the sockets they serve.

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use super::error::check;
use super::{Error, Kind, Result, Socket, ffi};

/// libzmq's I/O threads. Cloning shares them; they end when the last clone and the last socket are gone.
///
/// Ending waits for messages that sockets still linger for, so tests set a finite
/// [`Opt::Linger`](super::Opt::Linger).
#[derive(Debug, Clone)]
pub struct Context(Arc<Handle>);

#[derive(Debug)]
struct Handle(NonNull<c_void>);

// SAFETY: `zmq_ctx_*` and `zmq_socket` are thread-safe by zmq.h ("A 0MQ context is thread safe").
unsafe impl Send for Handle {}
// SAFETY: as above: the functions take locks of their own.
unsafe impl Sync for Handle {}

const IO_THREADS: c_int = 1;
const MAX_SOCKETS: c_int = 2;

impl Context {
    /// A context with one I/O thread, libzmq's default.
    ///
    /// # Panics
    /// If the process has no memory or file descriptors left.
    #[must_use]
    pub fn new() -> Self {
        // SAFETY: no precondition.
        let raw = unsafe { ffi::zmq_ctx_new() };
        Self(Arc::new(Handle(NonNull::new(raw).expect("libzmq makes a context"))))
    }

    /// A context with this many I/O threads.
    ///
    /// # Errors
    /// [`Error::INVALID`] for a negative number.
    pub fn with_io_threads(count: i32) -> Result<Self> {
        let context = Self::new();
        context.set(IO_THREADS, count)?;
        Ok(context)
    }

    /// Lets the context have this many sockets, where 1023 are not enough. Call it before the first is made.
    ///
    /// # Errors
    /// [`Error::INVALID`] for more than the system can poll.
    pub fn set_max_sockets(&self, count: i32) -> Result<()> {
        self.set(MAX_SOCKETS, count)
    }

    fn set(&self, option: c_int, value: c_int) -> Result<()> {
        // SAFETY: the handle is live as long as `self`.
        check(|| unsafe { ffi::zmq_ctx_set(self.raw(), option, value) })?;
        Ok(())
    }

    /// A new socket of this kind.
    ///
    /// # Errors
    /// [`Error::TERMINATED`] after [`shutdown`](Self::shutdown); no file descriptors or too many sockets.
    pub fn socket(&self, kind: Kind) -> Result<Socket> {
        // SAFETY: the handle is live as long as `self`.
        let raw = unsafe { ffi::zmq_socket(self.raw(), kind as c_int) };
        let raw = NonNull::new(raw).ok_or_else(Error::last)?;
        Ok(Socket::own(raw, self.clone(), kind))
    }

    /// Makes every blocked and every later call on this context's sockets answer [`Error::TERMINATED`].
    pub fn shutdown(&self) {
        // SAFETY: the handle is live as long as `self`; shutting down twice is allowed.
        let code = unsafe { ffi::zmq_ctx_shutdown(self.raw()) };
        debug_assert_eq!(code, 0, "only a null context makes it fail");
    }

    fn raw(&self) -> *mut c_void {
        self.0.0.as_ptr()
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the last owner is gone, and every socket owned a clone, so none is open.
        let ended = check(|| unsafe { ffi::zmq_ctx_term(self.0.as_ptr()) });
        debug_assert!(ended.is_ok(), "{ended:?}");
    }
}
