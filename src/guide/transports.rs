//! Endpoints, the built-in transports, and how to add one.
//!
//! # Endpoints
//!
//! An [`Endpoint`](crate::Endpoint) is `scheme://address`. The scheme is lower-case letters, digits, `+`, `-` and
//! `.`; the address belongs to the transport. `bind` and `connect` take anything that can become one (`&str`,
//! `String`, `&Endpoint`), and a malformed one is an error of the call that names the part that is wrong:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use zocket::Push;
//!
//! let push = Push::new();
//! let wrong = push.connect("tcp://localhost:http").unwrap_err();
//! assert!(wrong.to_string().contains(r#""http""#));
//! let unknown = push.connect("carrier-pigeon://coop").unwrap_err();
//! assert!(unknown.to_string().contains("known are"));
//! # }
//! ```
//!
//! Endpoints are compared as text. `bind` returns the resolved one; give that to `connect`, `unbind` and so on.
//!
//! ## tcp
//!
//! ```text
//! bind    tcp://host:port
//! connect tcp://host:port      tcp://source:port;host:port
//! host    10.0.0.1   [fe80::1%eth0]   ::1   example.org   bind and source: * (all addresses)   eth0 (an interface)
//! port    5555       bind and source: 0 or * (any free one)
//! ```
//!
//! Names are looked up at every attempt, and all their addresses are tried. `*` accepts IPv6 and IPv4, unless
//! [`ipv6`](crate::LinkOptions::ipv6) is off. Nagle's algorithm is off: batching is done here.
//!
//! ## ipc
//!
//! ```text
//! ipc:///run/app.sock   ipc://relative.sock   ipc://@abstract (Linux)   bind: ipc://* (a new private folder)
//! ```
//!
//! Binding makes the socket's file and `<path>.lock` beside it, and removes both at the end. While the owner lives
//! a second bind fails with `AddrInUse`; the file of one that died is replaced. Who may connect is a matter of
//! file permissions. Unix only.
//!
//! ## inproc
//!
//! `inproc://name`, any text. Names belong to a [`Context`](crate::Context); sockets of different contexts do not
//! meet. A socket may connect before the name is bound, and finds the next one when it is bound again. Messages
//! are moved and never encoded.
//!
//! # A transport of your own
//!
//! Implement [`Transport`](crate::transport::Transport), four methods, and its
//! [`Listener`](crate::transport::Listener), two: whatever gives ordered bytes in both directions (tokio's
//! `AsyncRead + AsyncWrite`) carries every socket type, with handshake, queues, reconnecting and heartbeats.
//! `examples/custom_transport.rs` is a whole one in less than 100 lines. Give it to a context:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io;
//! use zocket::transport::{BoxFuture, Link, Listener, Purpose, Transport, tcp::Tcp};
//! use zocket::{Context, Endpoint, EndpointError, LinkOptions, Pull, Push};
//!
//! /// `local://port`: tcp that never leaves this machine.
//! #[derive(Debug)]
//! struct Local(Tcp);
//!
//! fn tcp(endpoint: &Endpoint) -> Result<Endpoint, EndpointError> {
//!     Endpoint::new("tcp", format!("127.0.0.1:{}", endpoint.address()))
//! }
//!
//! impl Transport for Local {
//!     fn schemes(&self) -> &'static [&'static str] {
//!         &["local"]
//!     }
//!     fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
//!         self.0.check(&tcp(endpoint)?, purpose)
//!     }
//!     fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
//!         match tcp(to) {
//!             Ok(to) => self.0.connect(&to, options),
//!             Err(wrong) => Box::pin(async { Err(wrong.into()) }),
//!         }
//!     }
//!     fn bind(&self, at: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
//!         match tcp(at) {
//!             Ok(at) => self.0.bind(&at, options),
//!             Err(wrong) => Box::pin(async { Err(wrong.into()) }),
//!         }
//!     }
//! }
//!
//! let context = Context::builder().transport(Local(Tcp::new())).build()?;
//! let pull = Pull::builder().context(&context).build();
//! let push = Push::builder().context(&context).build();
//! let at = pull.bind("local://0").await?; // "tcp://127.0.0.1:…": the listener says so
//! push.connect(&at)?;
//! push.send("near").await?;
//! assert_eq!(pull.recv().await?, "near");
//! # Ok(()) }
//! ```
//!
//! What a transport owes is written at the top of [`transport`](crate::transport). The crate `zocket-transport`
//! has it as tests: with its feature `contract`, `contract::all(&yours, &endpoint).await` runs them.
