//! libzmq's `errno` as an error, and the one place that reads it.

use std::ffi::{CStr, c_int};

use super::ffi;

/// What a libzmq call answered instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(c_int);

/// A result of a libzmq call.
pub type Result<T> = std::result::Result<T, Error>;

/// The Linux numbers of the errors a caller may want to tell apart; the last two are libzmq's own (`HAUSNUMERO` + n).
impl Error {
    /// A signal came in between; the wrapper repeats such calls itself.
    pub const INTERRUPTED: Self = Self(4);
    /// Nothing to read, no room to write, or a time limit passed.
    pub const AGAIN: Self = Self(11);
    /// An argument libzmq does not take.
    pub const INVALID: Self = Self(22);
    /// A mandatory ROUTER knows no peer of this routing id.
    pub const HOST_UNREACHABLE: Self = Self(113);
    /// The call does not fit the socket's state: a second request before the reply.
    pub const STATE: Self = Self(156_384_712 + 51);
    /// The context was shut down.
    pub const TERMINATED: Self = Self(156_384_712 + 53);

    /// The error number, as C knows it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    pub(super) fn last() -> Self {
        // SAFETY: reads a thread-local integer.
        Self(unsafe { ffi::zmq_errno() })
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // SAFETY: takes any number and returns a string of static storage.
        let text = unsafe { ffi::zmq_strerror(self.0) };
        // SAFETY: `text` is never null and NUL-terminated; it is read at once, before another call may reuse it.
        let text = unsafe { CStr::from_ptr(text) };
        write!(f, "libzmq: {} ({})", text.to_string_lossy(), self.0)
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

/// Turns a return code into a result, repeating calls that a signal broke off.
pub(super) fn check(mut call: impl FnMut() -> c_int) -> Result<c_int> {
    loop {
        let code = call();
        if code >= 0 {
            return Ok(code);
        }
        match Error::last() {
            Error::INTERRUPTED => {}
            error => return Err(error),
        }
    }
}
