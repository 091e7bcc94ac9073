//! Builds libzmq from the sources that `zeromq-src` carries, with CURVE by libsodium, and links it statically.
//!
//! `zeromq-src` leaves `platform.hpp` empty, so libzmq would fall back to its slowest paths (a socket pair instead
//! of an eventfd, `gettimeofday` instead of the monotonic clock). A rival measured like that would be no rival, so
//! the switches that libzmq's own configure finds on Linux are set here. They travel in `CXXFLAGS`, the one thing
//! `zeromq-src` lets through. `-O2` stands there too: libzmq is not what a debug build of the tests wants to debug.

use std::env;

/// What `configure` defines on a glibc Linux, read from `builds/cmake/platform.hpp.in`.
const LINUX: &[&str] = &[
    "HAVE_ACCEPT4",
    "HAVE_CLOCK_GETTIME",
    "HAVE_FORK",
    "HAVE_IF_NAMETOINDEX",
    "HAVE_MKDTEMP",
    "HAVE_POSIX_MEMALIGN",
    "ZMQ_CACHELINE_SIZE=64",
    "ZMQ_HAVE_EVENTFD",
    "ZMQ_HAVE_EVENTFD_CLOEXEC",
    "ZMQ_HAVE_IFADDRS",
    "ZMQ_HAVE_NOEXCEPT",
    "ZMQ_HAVE_O_CLOEXEC",
    "ZMQ_HAVE_PPOLL",
    "ZMQ_HAVE_PTHREAD_SETNAME_2",
    "ZMQ_HAVE_PTHREAD_SET_AFFINITY",
    "ZMQ_HAVE_SOCK_CLOEXEC",
    "ZMQ_HAVE_SO_BINDTODEVICE",
    "ZMQ_HAVE_SO_KEEPALIVE",
    "ZMQ_HAVE_SO_PEERCRED",
    "ZMQ_HAVE_SO_PRIORITY",
    "ZMQ_HAVE_TCP_KEEPCNT",
    "ZMQ_HAVE_TCP_KEEPIDLE",
    "ZMQ_HAVE_TCP_KEEPINTVL",
    "ZMQ_IOTHREAD_POLLER_USE_EPOLL_CLOEXEC",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Clippy gets a build directory of its own and links nothing: spare it a minute of C++.
    if env::var_os("CLIPPY_ARGS").is_some() {
        return;
    }
    let mut flags = env::var("CXXFLAGS").unwrap_or_default();
    flags.push_str(" -O2 -w");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        for switch in LINUX {
            flags.push_str(" -D");
            flags.push_str(switch);
        }
    }
    // SAFETY: a build script's `main` runs before any other thread of it exists.
    unsafe { env::set_var("CXXFLAGS", flags) };

    let sodium =
        |what: &str| env::var(format!("DEP_SODIUM_{what}")).expect("libsodium-sys-stable built its library");
    let location = zeromq_src::LibLocation::new(sodium("LIB"), sodium("INCLUDE"));
    zeromq_src::Build::new().with_libsodium(Some(location)).build();
}
