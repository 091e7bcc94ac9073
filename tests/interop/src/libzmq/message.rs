//! One frame in libzmq's own memory, for callers who count nanoseconds: reused for receiving, uncopied for sending.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;

use super::ffi::{self, RawMsg};

/// One frame owned by libzmq.
///
/// Receiving into the same `Msg` again lets libzmq release the old contents itself, as a C program would.
pub struct Msg(RawMsg);

// SAFETY: the contents are plain memory with an atomic reference count; libzmq itself hands them between threads.
unsafe impl Send for Msg {}

impl Msg {
    /// An empty frame, to receive into.
    #[must_use]
    pub fn new() -> Self {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: 64 aligned bytes, which the call initialises; it always returns 0.
        unsafe { ffi::zmq_msg_init(raw.as_mut_ptr()) };
        // SAFETY: initialised by the line above.
        Self(unsafe { raw.assume_init() })
    }

    /// A frame of `len` zero bytes in memory that libzmq allocates.
    ///
    /// # Panics
    /// If there is no memory.
    #[must_use]
    pub fn zeroed(len: usize) -> Self {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: 64 aligned bytes, which the call initialises unless it fails.
        let code = unsafe { ffi::zmq_msg_init_size(raw.as_mut_ptr(), len) };
        assert_eq!(code, 0, "no memory for {len} bytes");
        // SAFETY: initialised, as the call succeeded.
        let mut message = Self(unsafe { raw.assume_init() });
        // SAFETY: the memory is `len` bytes long, owned by `message` alone and not read before this.
        unsafe { message.data().cast::<u8>().write_bytes(0, len) };
        message
    }

    /// The frame's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        // `zmq_msg_data` takes a mutable pointer but only reads; the cast keeps `as_bytes` usable on a shared frame.
        // SAFETY: an initialised message.
        let data = unsafe { ffi::zmq_msg_data((&raw const self.0).cast_mut()) };
        // SAFETY: `data` points to `len` initialised bytes that live and stay unchanged as long as `self` is borrowed;
        // libzmq never answers null here.
        unsafe { std::slice::from_raw_parts(data.cast::<u8>(), self.len()) }
    }

    /// The frame's length.
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: an initialised message.
        unsafe { ffi::zmq_msg_size(&raw const self.0) }
    }

    /// Whether the frame has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether more frames of the same message follow.
    #[must_use]
    pub fn more(&self) -> bool {
        // SAFETY: an initialised message.
        unsafe { ffi::zmq_msg_more(&raw const self.0) == 1 }
    }

    pub(super) fn raw_mut(&mut self) -> &mut RawMsg {
        &mut self.0
    }

    fn data(&mut self) -> *mut c_void {
        // SAFETY: an initialised message.
        unsafe { ffi::zmq_msg_data(&raw mut self.0) }
    }
}

impl Default for Msg {
    fn default() -> Self {
        Self::new()
    }
}

/// A copy of the bytes, in libzmq's memory.
impl From<&[u8]> for Msg {
    fn from(bytes: &[u8]) -> Self {
        let mut message = Self::zeroed(bytes.len());
        // SAFETY: as many bytes were just allocated, for this message alone; the two places cannot overlap.
        unsafe { message.data().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        message
    }
}

/// No copy: libzmq sends from the vector's memory and one of its threads frees it.
impl From<Vec<u8>> for Msg {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Arc::new(bytes))
    }
}

/// No copy: libzmq sends from the shared memory, and one of its threads gives its share back.
impl From<Arc<Vec<u8>>> for Msg {
    fn from(bytes: Arc<Vec<u8>>) -> Self {
        unsafe extern "C" fn free(_data: *mut c_void, hint: *mut c_void) {
            // SAFETY: `hint` is the share leaked below, and libzmq calls this once.
            drop(unsafe { Arc::from_raw(hint.cast_const().cast::<Vec<u8>>()) });
        }
        // libzmq asks for mutable memory, and only reads what it sends.
        let (data, len) = (bytes.as_ptr().cast_mut().cast(), bytes.len());
        let hint = Arc::into_raw(bytes).cast_mut().cast();
        let mut raw = MaybeUninit::uninit();
        // SAFETY: `data` stays valid until `free` drops the share behind `hint`, which any thread may do.
        let code = unsafe { ffi::zmq_msg_init_data(raw.as_mut_ptr(), data, len, free, hint) };
        assert_eq!(code, 0, "no memory for a message header");
        // SAFETY: initialised, as the call succeeded.
        Self(unsafe { raw.assume_init() })
    }
}

impl Drop for Msg {
    fn drop(&mut self) {
        // SAFETY: an initialised message, closed once. After a send it is an empty one.
        unsafe { ffi::zmq_msg_close(&raw mut self.0) };
    }
}

impl std::fmt::Debug for Msg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Msg").field("len", &self.len()).field("more", &self.more()).finish()
    }
}
