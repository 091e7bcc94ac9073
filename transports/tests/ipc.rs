//! What only `ipc://` does.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use zocket_transport::ipc::Ipc;
use zocket_transport::{
    Endpoint, EndpointError, LinkOptions, Listener, PeerProof, Purpose, Transport, contract,
};

/// A folder of a test's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("zocket-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new("ipc", self.socket().to_str().expect("UTF-8")).expect("an endpoint")
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.0).expect("a folder").count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn bind(at: &Endpoint) -> io::Result<Box<dyn Listener>> {
    Ipc::new().bind(at, &LinkOptions::default()).await
}

#[tokio::test]
async fn keeps_the_contract_at_a_path() {
    let folder = Folder::new();
    contract::all(&Ipc::new(), &folder.endpoint()).await;
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn keeps_the_contract_at_an_abstract_name() {
    let name = format!("@zocket-test-{}", std::process::id());
    contract::all(&Ipc::new(), &Endpoint::new("ipc", name).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_at_a_wildcard_on_many_threads() {
    contract::all(&Ipc::new(), &"ipc://*".parse().unwrap()).await;
}

#[test]
fn addresses_are_checked() {
    let ipc = Ipc::new();
    let long = format!("/{}", "a".repeat(106));
    let too_long = format!("/{}", "a".repeat(107));
    for address in ["/tmp/a", "a", "./*", "a*", &long, "a/@b"] {
        for purpose in [Purpose::Bind, Purpose::Connect] {
            assert_eq!(ipc.check(&Endpoint::new("ipc", address).unwrap(), purpose), Ok(()), "{address}");
        }
    }
    assert_eq!(ipc.check(&"ipc://*".parse().unwrap(), Purpose::Bind), Ok(()));
    for (address, purpose, reason) in [
        ("*", Purpose::Connect, "wildcard"),
        ("*a", Purpose::Bind, "wildcard"),
        ("@", Purpose::Bind, if cfg!(target_os = "linux") { "empty" } else { "Linux" }),
        ("/tmp/", Purpose::Bind, "name of a file"),
        (&too_long, Purpose::Bind, "107"),
    ] {
        let error = ipc.check(&Endpoint::new("ipc", address).unwrap(), purpose).unwrap_err();
        assert!(matches!(&error, EndpointError::Address { part, .. } if part == address), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_listener_leaves_no_file() {
    let folder = Folder::new();
    let listener = bind(&folder.endpoint()).await.unwrap();
    assert!(fs::symlink_metadata(folder.socket()).unwrap().file_type().is_socket());
    assert_eq!(folder.files(), 2);
    drop(listener);
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
async fn a_wildcard_leaves_no_folder() {
    let listener = bind(&"ipc://*".parse().unwrap()).await.unwrap();
    let socket = PathBuf::from(listener.endpoint().address());
    let folder = socket.parent().unwrap().to_owned();
    assert!(socket.exists());
    drop(listener);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_dead_socket_is_replaced() {
    let folder = Folder::new();
    drop(UnixListener::bind(folder.socket()).unwrap());
    // A lock file whose owner died is open to the next.
    fs::write(folder.0.join("s.lock"), "").unwrap();
    contract::the_bound_endpoint_can_be_connected_to(&Ipc::new(), &folder.endpoint()).await;
    assert_eq!(folder.files(), 0);
}

#[tokio::test]
async fn a_live_socket_of_another_program_is_left_alone() {
    let folder = Folder::new();
    let other = UnixListener::bind(folder.socket()).unwrap();
    let error = bind(&folder.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(folder.files(), 1, "the lock file is gone, the socket is not");
    // The attempt knocked once.
    other.accept().unwrap();
    let _link = UnixStream::connect(folder.socket()).unwrap();
    other.accept().unwrap();
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_busy_socket_of_another_program_is_left_alone() {
    let folder = Folder::new();
    let other = tokio::net::UnixSocket::new_stream().unwrap();
    other.bind(folder.socket()).unwrap();
    let _other = other.listen(1).unwrap();
    let mut links = Vec::new();
    let error = loop {
        match Ipc::new().connect(&folder.endpoint(), &LinkOptions::default()).await {
            Ok(link) => links.push(link),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("queue"), "{error}");
    assert_eq!(bind(&folder.endpoint()).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    assert!(folder.socket().exists());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let folder = Folder::new();
    let refused = async || {
        let error = bind(&folder.endpoint()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains(folder.endpoint().address()), "{error}");
    };
    fs::write(folder.socket(), "precious").unwrap();
    refused().await;
    assert_eq!(fs::read(folder.socket()).unwrap(), b"precious");
    fs::remove_file(folder.socket()).unwrap();

    fs::create_dir(folder.socket()).unwrap();
    refused().await;
    fs::remove_dir(folder.socket()).unwrap();

    symlink("elsewhere", folder.socket()).unwrap();
    refused().await;
    assert_eq!(fs::read_link(folder.socket()).unwrap(), Path::new("elsewhere"));
    assert_eq!(folder.files(), 1);
}

#[tokio::test]
async fn a_file_in_the_place_of_the_lock_is_left_alone() {
    let folder = Folder::new();
    let lock = folder.0.join("s.lock");
    fs::write(&lock, "precious").unwrap();
    let error = bind(&folder.endpoint()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("s.lock"), "{error}");
    assert_eq!(fs::read(&lock).unwrap(), b"precious");
    fs::remove_file(&lock).unwrap();

    symlink(folder.0.join("made"), &lock).unwrap();
    assert!(bind(&folder.endpoint()).await.is_err());
    assert!(!folder.0.join("made").exists(), "a link was followed");
}

#[tokio::test]
async fn what_replaced_our_socket_is_left_alone() {
    let folder = Folder::new();
    let listener = bind(&folder.endpoint()).await.unwrap();
    // libzmq does this.
    fs::remove_file(folder.socket()).unwrap();
    let other = UnixListener::bind(folder.socket()).unwrap();
    drop(listener);
    let _link = UnixStream::connect(folder.socket()).unwrap();
    other.accept().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_replace_a_dead_socket_one_succeeds() {
    for _ in 0..20 {
        let folder = Folder::new();
        drop(UnixListener::bind(folder.socket()).unwrap());
        let binding: Vec<_> = (0..8)
            .map(|_| {
                let at = folder.endpoint();
                tokio::spawn(async move { bind(&at).await })
            })
            .collect();
        let mut listeners = Vec::new();
        for bound in binding {
            match bound.await.unwrap() {
                Ok(listener) => listeners.push(listener),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}"),
            }
        }
        assert_eq!(listeners.len(), 1);
        let _link = UnixStream::connect(folder.socket()).unwrap();
        listeners[0].accept().await.unwrap().await.unwrap();
    }
}

#[tokio::test]
async fn the_system_vouches_for_the_peer() {
    let mut listener = bind(&"ipc://*".parse().unwrap()).await.unwrap();
    let ours = Ipc::new().connect(listener.endpoint(), &LinkOptions::default()).await.unwrap();
    let theirs = listener.accept().await.unwrap().await.unwrap();
    for link in [ours, theirs] {
        assert_eq!(link.peer, *listener.endpoint());
        let Some(PeerProof::Process { process, .. }) = link.proof else { panic!("no proof") };
        if cfg!(target_os = "linux") {
            assert_eq!(process, i32::try_from(std::process::id()).ok());
        }
    }
}

#[tokio::test]
async fn a_path_without_a_folder_is_not_found() {
    let at = "ipc:///no/such/folder/s".parse().unwrap();
    let error = bind(&at).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = Ipc::new().connect(&at, &LinkOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains(at.as_str()), "{error}");
}
