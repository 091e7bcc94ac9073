//! `ipc://`: peers on this machine, over Unix-domain stream sockets (unix(7)).
//!
//! A bound path is a file that outlives a crashed owner, so whoever binds must tell a dead file from a live one,
//! and two who replace a dead one at once must not both succeed. Between zocket peers a lock decides: whoever
//! listens at `path` holds a flock(2) on `path.lock`, which the kernel takes from it if it dies. Other programs
//! (libzmq) take no lock; they are found alive by connecting to them. Invariants: a live socket is never
//! taken away from its owner, nothing but a socket is ever unlinked, and only its owner unlinks it, after a
//! look whether it still is the one it made.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use socket2::SockRef;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::{
    BoxFuture, Endpoint, EndpointError, Incoming, Link, LinkOptions, Listener, PeerProof, Purpose, Transport,
    Wire, eager,
};

mod file;
mod stream;

use file::{PrivateFolder, SocketFile};
use stream::Quiet;

const SCHEME: &str = "ipc";

/// `sockaddr_un.sun_path` has 108 bytes on Linux, with the NUL; other systems have fewer and refuse themselves.
const LONGEST_PATH: usize = 107;

/// The `ipc://` transport.
///
/// * `ipc:///run/app.sock`: a path, absolute or relative to the working folder, of at most 107 bytes. Binding
///   makes the file and, beside it, `/run/app.sock.lock`; both are removed when the listener is dropped. A file
///   whose owner died is replaced. Who may connect is decided by the permissions of the file (from the umask)
///   and its folder.
/// * `ipc://@name`: Linux's abstract names, which need no file.
/// * `ipc://*`, bind only: a new socket in a new private folder under the folder for temporary files.
///
/// Links carry [`PeerProof::Process`]. Needs a tokio runtime with I/O.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use zocket_transport::{LinkOptions, Transport, ipc::Ipc};
///
/// let (ipc, options) = (Ipc::new(), LinkOptions::default());
/// let mut listener = ipc.bind(&"ipc://*".parse()?, &options).await?;
/// let link = ipc.connect(listener.endpoint(), &options).await?;
/// let accepted = listener.accept().await?.await?;
/// assert_eq!(accepted.proof, link.proof); // both ends are this process
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Ipc;

impl Ipc {
    /// The transport; it has no state.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Transport for Ipc {
    fn schemes(&self) -> &'static [&'static str] {
        &[SCHEME]
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        parse(endpoint, purpose).map(drop)
    }

    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let (to, options) = (to.clone(), options.clone());
        Box::pin(async move {
            let socket = UnixSocket::new_stream()?;
            options.set_buffers(&SockRef::from(&socket))?;
            let stream = match parse(&to, Purpose::Connect)? {
                Address::Path(path) => socket.connect(path).await,
                Address::Abstract(name) => socket.connect(abstract_path(name)).await,
                Address::Wildcard => return Err(io::ErrorKind::InvalidInput.into()),
            };
            let stream = stream.map_err(|error| match error.kind() {
                // There is no waiting for a place in the queue.
                io::ErrorKind::WouldBlock => io::Error::new(
                    error.kind(),
                    format!("cannot connect to {to}: its queue of peers is full"),
                ),
                _ => because(&error, &format!("cannot connect to {to}")),
            })?;
            link(stream, &to, &options)
        })
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (at, options) = (at.clone(), options.clone());
        Box::pin(async move {
            let bound = bind(&at, options).await?;
            Ok(Box::new(bound) as Box<dyn Listener>)
        })
    }
}

enum Address<'a> {
    Path(&'a str),
    /// Without the `@`.
    Abstract(&'a str),
    Wildcard,
}

fn parse(endpoint: &Endpoint, purpose: Purpose) -> Result<Address<'_>, EndpointError> {
    let text = endpoint.address();
    let wrong = |reason: &'static str| Err(EndpointError::address(endpoint, text, reason));
    if text.len() > LONGEST_PATH {
        return wrong("a path has at most 107 bytes");
    }
    match (text.strip_prefix('@'), purpose) {
        _ if text == "*" && purpose == Purpose::Connect => wrong("a wildcard cannot be connected to"),
        _ if text == "*" => Ok(Address::Wildcard),
        _ if text.starts_with('*') => wrong("a wildcard stands alone; of a file named so, write ./*"),
        _ if text.ends_with('/') => wrong("a path ends with the name of a file"),
        (None, _) => Ok(Address::Path(text)),
        (Some(_), _) if !cfg!(any(target_os = "linux", target_os = "android")) => {
            wrong("only Linux has abstract names")
        }
        (Some(""), _) => wrong("the abstract name is empty"),
        (Some(name), _) => Ok(Address::Abstract(name)),
    }
}

/// The system's way to write an abstract name: behind a NUL.
fn abstract_path(name: &str) -> String {
    format!("\0{name}")
}

#[derive(Debug)]
struct Bound {
    /// Before the listener, so that the file goes first: while the listener lives, its inode cannot be another's.
    _file: Option<SocketFile>,
    /// Behind the file that is in it.
    _folder: Option<PrivateFolder>,
    listener: UnixListener,
    endpoint: Endpoint,
    options: LinkOptions,
}

async fn bind(at: &Endpoint, options: LinkOptions) -> io::Result<Bound> {
    let mut endpoint = at.clone();
    let mut folder = None;
    let (listener, file) = match parse(at, Purpose::Bind)? {
        Address::Abstract(name) => {
            let listener = listen(Path::new(&abstract_path(name)), &options)
                .map_err(|error| because(&error, &format!("cannot listen at {at}")))?;
            (listener, None)
        }
        Address::Path(path) => bind_file(path, &options).await?,
        Address::Wildcard => {
            let (created, path) = PrivateFolder::create()?;
            folder = Some(created);
            endpoint = Endpoint::new(SCHEME, path)?;
            parse(&endpoint, Purpose::Bind)?;
            bind_file(endpoint.address(), &options).await?
        }
    };
    Ok(Bound { _file: file, _folder: folder, listener, endpoint, options })
}

async fn bind_file(path: &str, options: &LinkOptions) -> io::Result<(UnixListener, Option<SocketFile>)> {
    let attempt = async {
        let lock = file::lock(path)?;
        if file::is_socket(path)? {
            if is_alive(path).await? {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there"));
            }
            lock.remove_stale()?;
        }
        let listener = listen(Path::new(path), options)?;
        Ok((listener, Some(lock.created()?)))
    };
    attempt.await.map_err(|error| because(&error, &format!("cannot listen at {path}")))
}

/// Whether somebody listens at a socket file. In doubt, yes.
async fn is_alive(path: &str) -> io::Result<bool> {
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        // Its queue of peers is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        // It left in this moment, and took the file with it or not.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            Ok(false)
        }
        Err(error) => Err(because(&error, "cannot tell whether somebody listens")),
    }
}

fn listen(path: &Path, options: &LinkOptions) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    socket.listen(options.listen_backlog())
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let (stream, _) = self.listener.accept().await?;
            let (endpoint, options) = (self.endpoint.clone(), self.options.clone());
            Ok(Incoming::new(async move {
                // Other than with tcp, they are not inherited.
                options.set_buffers(&SockRef::from(&stream.as_fd()))?;
                link(stream, &endpoint, &options)
            }))
        })
    }
}

/// Neither end has a name of its own, so both are shown as the place they met at.
fn link(stream: UnixStream, endpoint: &Endpoint, options: &LinkOptions) -> io::Result<Link> {
    let proof = stream.peer_cred().ok().map(|cred| PeerProof::Process {
        user: cred.uid(),
        group: cred.gid(),
        process: cred.pid(),
    });
    // A connection that keeps looking is not asleep to be woken in vain.
    let wire = if options.eager { eager::wire(stream, options) } else { Box::new(Quiet::new(stream)?) };
    let link = Link::new(Wire::Stream(wire), endpoint.clone(), endpoint.clone());
    Ok(link.with_proof(proof).waking_unlocked())
}

/// The same kind of error, with what it was about in front.
fn because(error: &io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
