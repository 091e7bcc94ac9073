//! The part of `zmq.h` (4.3.5) that this package calls, written by hand.
//!
//! Signatures are copied from the header; no constants are here, they live as enums in `kind.rs` and `monitor.rs`.

use std::ffi::{c_char, c_int, c_long, c_short, c_void};

/// `zmq_msg_t`: 64 opaque bytes aligned like a pointer. libzmq keeps no pointer to it and none into itself, so it
/// may be moved like any Rust value.
#[repr(C, align(8))]
pub(super) struct RawMsg(pub(super) [u8; 64]);

/// `zmq_pollitem_t`.
#[derive(Debug)]
#[repr(C)]
pub(super) struct PollItem {
    pub(super) socket: *mut c_void,
    pub(super) fd: c_int,
    pub(super) events: c_short,
    pub(super) revents: c_short,
}

/// `zmq_free_fn`.
pub(super) type FreeFn = unsafe extern "C" fn(data: *mut c_void, hint: *mut c_void);

unsafe extern "C" {
    pub(super) fn zmq_version(major: *mut c_int, minor: *mut c_int, patch: *mut c_int);
    pub(super) fn zmq_has(capability: *const c_char) -> c_int;
    pub(super) fn zmq_errno() -> c_int;
    pub(super) fn zmq_strerror(errnum: c_int) -> *const c_char;

    pub(super) fn zmq_ctx_new() -> *mut c_void;
    pub(super) fn zmq_ctx_set(context: *mut c_void, option: c_int, value: c_int) -> c_int;
    pub(super) fn zmq_ctx_shutdown(context: *mut c_void) -> c_int;
    pub(super) fn zmq_ctx_term(context: *mut c_void) -> c_int;

    pub(super) fn zmq_socket(context: *mut c_void, kind: c_int) -> *mut c_void;
    pub(super) fn zmq_close(socket: *mut c_void) -> c_int;
    pub(super) fn zmq_bind(socket: *mut c_void, address: *const c_char) -> c_int;
    pub(super) fn zmq_unbind(socket: *mut c_void, address: *const c_char) -> c_int;
    pub(super) fn zmq_connect(socket: *mut c_void, address: *const c_char) -> c_int;
    pub(super) fn zmq_disconnect(socket: *mut c_void, address: *const c_char) -> c_int;
    pub(super) fn zmq_setsockopt(
        socket: *mut c_void,
        option: c_int,
        value: *const c_void,
        len: usize,
    ) -> c_int;
    pub(super) fn zmq_getsockopt(
        socket: *mut c_void,
        option: c_int,
        value: *mut c_void,
        len: *mut usize,
    ) -> c_int;
    pub(super) fn zmq_socket_monitor(socket: *mut c_void, address: *const c_char, events: c_int) -> c_int;
    pub(super) fn zmq_poll(items: *mut PollItem, count: c_int, timeout_ms: c_long) -> c_int;

    pub(super) fn zmq_send(socket: *mut c_void, bytes: *const c_void, len: usize, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_init(message: *mut RawMsg) -> c_int;
    pub(super) fn zmq_msg_init_size(message: *mut RawMsg, size: usize) -> c_int;
    pub(super) fn zmq_msg_init_data(
        message: *mut RawMsg,
        data: *mut c_void,
        size: usize,
        free: FreeFn,
        hint: *mut c_void,
    ) -> c_int;
    pub(super) fn zmq_msg_send(message: *mut RawMsg, socket: *mut c_void, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_recv(message: *mut RawMsg, socket: *mut c_void, flags: c_int) -> c_int;
    pub(super) fn zmq_msg_close(message: *mut RawMsg) -> c_int;
    pub(super) fn zmq_msg_data(message: *mut RawMsg) -> *mut c_void;
    pub(super) fn zmq_msg_size(message: *const RawMsg) -> usize;
    pub(super) fn zmq_msg_more(message: *const RawMsg) -> c_int;
}
