//! A libzmq socket: endpoints, options, whole messages with time limits, single frames for hot paths, events.

use std::cell::{Cell, OnceCell};
use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::error::check;
use super::ffi::{self, PollItem};
use super::{Context, Error, Event, EventKind, Flags, Kind, Msg, Opt, Ready, Result, monitor};

/// A libzmq socket. It may move between threads and be used by one at a time, hence `Send` and not `Sync`.
#[derive(Debug)]
pub struct Socket {
    raw: NonNull<c_void>,
    kind: Kind,
    /// The reading end of the monitor, once watched. Boxed because it is a socket itself.
    events: OnceCell<Box<Self>>,
    /// Dropped last, by field order, so that the context outlives the socket.
    context: Context,
    _one_thread: PhantomData<Cell<()>>,
}

// SAFETY: libzmq lets a socket migrate between threads with a full fence in between, which every safe way to send a
// value to another thread has.
unsafe impl Send for Socket {}

/// Bytes enough for any endpoint libzmq reports: the longest is an ipc path of 108 bytes.
const ENDPOINT_ROOM: usize = 256;

impl Socket {
    pub(super) fn own(raw: NonNull<c_void>, context: Context, kind: Kind) -> Self {
        Self { raw, kind, events: OnceCell::new(), context, _one_thread: PhantomData }
    }

    pub(super) fn raw(&self) -> *mut c_void {
        self.raw.as_ptr()
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// The socket's type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    // ── endpoints ────────────────────────────────────────────────────────────────────────────────

    /// Binds, and says where: with port 0 or a wildcard the answer has what was chosen.
    ///
    /// # Errors
    /// The address is malformed, taken, or of a transport libzmq does not have.
    pub fn bind(&self, at: &str) -> Result<String> {
        self.endpoint(at, ffi::zmq_bind)?;
        let bytes = self.get_bytes(Opt::LastEndpoint, ENDPOINT_ROOM)?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(&bytes);
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// Starts connecting and returns at once; libzmq retries for ever.
    ///
    /// # Errors
    /// The address is malformed or of a transport libzmq does not have.
    pub fn connect(&self, to: &str) -> Result<()> {
        self.endpoint(to, ffi::zmq_connect)
    }

    /// Stops accepting at an endpoint that [`bind`](Self::bind) answered.
    ///
    /// # Errors
    /// The endpoint is not bound.
    pub fn unbind(&self, at: &str) -> Result<()> {
        self.endpoint(at, ffi::zmq_unbind)
    }

    /// Leaves an endpoint given to [`connect`](Self::connect).
    ///
    /// # Errors
    /// The endpoint is not connected.
    pub fn disconnect(&self, from: &str) -> Result<()> {
        self.endpoint(from, ffi::zmq_disconnect)
    }

    fn endpoint(
        &self,
        text: &str,
        call: unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int,
    ) -> Result<()> {
        let text = CString::new(text).map_err(|_| Error::INVALID)?;
        // SAFETY: a live socket and a NUL-terminated string; `call` is one of the four functions above.
        check(|| unsafe { call(self.raw(), text.as_ptr()) })?;
        Ok(())
    }

    // ── options ──────────────────────────────────────────────────────────────────────────────────

    /// Sets an option that is a C `int`; times are in milliseconds.
    ///
    /// # Errors
    /// [`Error::INVALID`] if the socket has no such option or does not take the value.
    pub fn set(&self, option: Opt, value: i32) -> Result<()> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    /// Sets an option that is an `int64_t`.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_wide(&self, option: Opt, value: i64) -> Result<()> {
        self.set_bytes(option, &value.to_ne_bytes())
    }

    /// Sets an option that is bytes or text.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn set_bytes(&self, option: Opt, value: &[u8]) -> Result<()> {
        // SAFETY: a live socket and a slice that libzmq only reads during the call.
        check(|| unsafe {
            ffi::zmq_setsockopt(self.raw(), option as c_int, value.as_ptr().cast(), value.len())
        })?;
        Ok(())
    }

    /// Reads an option that is a C `int`.
    ///
    /// # Errors
    /// [`Error::INVALID`] if the socket has no such option.
    pub fn get(&self, option: Opt) -> Result<i32> {
        let bytes = self.get_bytes(option, size_of::<i32>())?;
        bytes.try_into().map(i32::from_ne_bytes).map_err(|_| Error::INVALID)
    }

    /// Reads an option of at most `room` bytes.
    ///
    /// # Errors
    /// [`Error::INVALID`] if the socket has no such option or it needs more room.
    pub fn get_bytes(&self, option: Opt, room: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; room];
        let mut len = room;
        let data = bytes.as_mut_ptr().cast();
        // SAFETY: a live socket; `data` has `len` bytes, and libzmq writes no more and stores how many.
        check(|| unsafe { ffi::zmq_getsockopt(self.raw(), option as c_int, data, &raw mut len) })?;
        bytes.truncate(len);
        Ok(bytes)
    }

    // ── whole messages ───────────────────────────────────────────────────────────────────────────

    /// Sends a message of one or more frames, waiting for room as `Opt::SendTimeout` says.
    ///
    /// # Errors
    /// [`Error::AGAIN`] when the time limit passed; [`Error::INVALID`] for a message of no frames; by socket type.
    pub fn send_multipart<F: AsRef<[u8]>>(&self, frames: impl IntoIterator<Item = F>) -> Result<()> {
        let mut frames = frames.into_iter().peekable();
        if frames.peek().is_none() {
            return Err(Error::INVALID);
        }
        while let Some(frame) = frames.next() {
            let flags = if frames.peek().is_some() { Flags::MORE } else { Flags::NONE };
            self.send(frame.as_ref(), flags)?;
        }
        Ok(())
    }

    /// Receives a whole message, waiting as `Opt::ReceiveTimeout` says.
    ///
    /// # Errors
    /// [`Error::AGAIN`] when the time limit passed; by socket type.
    pub fn recv_multipart(&self) -> Result<Vec<Vec<u8>>> {
        let mut frames = Vec::new();
        let mut message = Msg::new();
        loop {
            self.recv_into(&mut message, Flags::NONE)?;
            frames.push(message.as_bytes().to_vec());
            if !message.more() {
                return Ok(frames);
            }
        }
    }

    /// Receives a whole message, or `None` if none came within `limit`.
    ///
    /// # Errors
    /// By socket type; [`Error::TERMINATED`].
    pub fn recv_timeout(&self, limit: Duration) -> Result<Option<Vec<Vec<u8>>>> {
        if self.poll(Ready::IN, limit)? { self.recv_multipart().map(Some) } else { Ok(None) }
    }

    /// Waits until the socket is ready for this, at most `limit`; says whether it is.
    ///
    /// # Errors
    /// [`Error::TERMINATED`].
    pub fn poll(&self, wanted: Ready, limit: Duration) -> Result<bool> {
        let mut item = PollItem { socket: self.raw(), fd: 0, events: wanted.0, revents: 0 };
        // Rounded up: a limit of half a millisecond must not become a busy loop around "do not wait".
        let limit = c_long::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(c_long::MAX);
        // SAFETY: one valid item around a live socket.
        Ok(check(|| unsafe { ffi::zmq_poll(&raw mut item, 1, limit) })? > 0)
    }

    // ── single frames, nothing in between ────────────────────────────────────────────────────────

    /// Sends one frame, which libzmq copies.
    ///
    /// # Errors
    /// [`Error::AGAIN`] when there is no room and the flags or a time limit say not to wait; by socket type.
    #[inline]
    pub fn send(&self, frame: &[u8], flags: Flags) -> Result<()> {
        // SAFETY: a live socket and a slice that libzmq copies before it returns.
        check(|| unsafe { ffi::zmq_send(self.raw(), frame.as_ptr().cast(), frame.len(), flags.0) })?;
        Ok(())
    }

    /// Sends one frame that libzmq owns already, leaving `message` empty. On an error it keeps its bytes.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[inline]
    pub fn send_msg(&self, message: &mut Msg, flags: Flags) -> Result<()> {
        let raw = std::ptr::from_mut(message.raw_mut());
        // SAFETY: a live socket and an initialised message.
        check(|| unsafe { ffi::zmq_msg_send(raw, self.raw(), flags.0) })?;
        Ok(())
    }

    /// Receives one frame into `message`, whose old bytes libzmq releases.
    ///
    /// # Errors
    /// [`Error::AGAIN`] when nothing is there and the flags or a time limit say not to wait; by socket type.
    #[inline]
    pub fn recv_into(&self, message: &mut Msg, flags: Flags) -> Result<()> {
        let raw = std::ptr::from_mut(message.raw_mut());
        // SAFETY: a live socket and an initialised message.
        check(|| unsafe { ffi::zmq_msg_recv(raw, self.raw(), flags.0) })?;
        Ok(())
    }

    // ── events ───────────────────────────────────────────────────────────────────────────────────

    /// Starts recording events. Call it before `bind` and `connect`, or their first events are missed.
    ///
    /// # Errors
    /// No file descriptors left; [`Error::TERMINATED`].
    pub fn watch(&self) -> Result<()> {
        if self.events.get().is_none() {
            let reader = monitor::watch(self)?;
            drop(self.events.set(Box::new(reader)));
        }
        Ok(())
    }

    /// The next event, or `None` if there was none within `limit`.
    ///
    /// # Errors
    /// [`Error::STATE`] if the socket is not [watched](Self::watch).
    pub fn next_event(&self, limit: Duration) -> Result<Option<Event>> {
        let reader = self.events.get().ok_or(Error::STATE)?;
        monitor::next(reader, limit)
    }

    /// Skips events until one of this kind, or answers `None` if there was none within `limit`.
    ///
    /// # Errors
    /// As [`next_event`](Self::next_event).
    pub fn until(&self, kind: EventKind, limit: Duration) -> Result<Option<Event>> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next_event(left)? {
                Some(event) if event.kind == kind => return Ok(Some(event)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.events.get().is_some() {
            monitor::unwatch(self);
        }
        // SAFETY: a live socket, closed once; its context is alive until the field drops after this.
        let code = unsafe { ffi::zmq_close(self.raw()) };
        debug_assert_eq!(code, 0, "{:?}", Error::last());
    }
}
