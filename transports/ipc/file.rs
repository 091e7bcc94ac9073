//! Socket files and who owns them: locks, stale files, private folders.
//!
//! The lock file is empty and lies beside the socket. To own the path is to hold a flock(2) on the inode that
//! `path.lock` names *now*: a lock file is unlinked while it is held, so whoever opened it before, and gets the
//! lock after, holds one on a file that is gone, sees so, and starts again. Calls here block for as long as the
//! file system takes, and never for another process.

use std::collections::hash_map::RandomState;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

/// How often another's lock file may vanish under us before we call the path taken.
const ATTEMPTS: usize = 16;

/// The right to make and remove a socket file. Dropping it gives the right up.
#[derive(Debug)]
pub(super) struct Lock {
    /// Absolute, for the working folder may change until it is dropped.
    socket: PathBuf,
    lock: PathBuf,
    file: Flock<File>,
}

/// A socket file of ours. Dropping it removes it and its lock file.
#[derive(Debug)]
pub(super) struct SocketFile {
    lock: Lock,
    inode: (u64, u64),
}

/// Takes the right to a path.
pub(super) fn lock(path: &str) -> io::Result<Lock> {
    let socket = std::path::absolute(path)?;
    let mut lock = socket.clone().into_os_string();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    for _ in 0..ATTEMPTS {
        match own(&lock, open_lock(&lock)?)? {
            Owned::Ours(file) => return Ok(Lock { socket, lock, file }),
            Owned::Anothers => break,
            Owned::Gone => {}
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{} is locked", lock.display())))
}

enum Owned {
    Ours(Flock<File>),
    Anothers,
    /// The file was unlinked, or replaced, since it was opened: to lock it means nothing.
    Gone,
}

/// Locks an open lock file, if it is still the one at its path.
fn own(path: &Path, file: File) -> io::Result<Owned> {
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(file) if is_at(path, inode(&file.metadata()?)) => Ok(Owned::Ours(file)),
        Ok(_) => Ok(Owned::Gone),
        Err((_, Errno::EWOULDBLOCK)) => Ok(Owned::Anothers),
        Err((_, error)) => Err(naming(path, &error.into())),
    }
}

/// Opens or makes the lock file. It is removed later, so it must not be anything but what we would make.
fn open_lock(path: &Path) -> io::Result<File> {
    // Neither follow a link nor wait for the other end of a fifo.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|error| naming(path, &error))?;
    let about = file.metadata()?;
    if about.is_file() && about.len() == 0 {
        return Ok(file);
    }
    let text = format!("{} exists and is not an empty lock file", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

/// Whether there is a socket at a path; an error if there is something else.
pub(super) fn is_socket(path: &str) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.file_type().is_socket() => Ok(true),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it exists and is not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Lock {
    /// Removes a socket whose owner is dead.
    ///
    /// A program that takes no lock may have replaced it a moment ago; against that there is no remedy.
    pub(super) fn remove_stale(&self) -> io::Result<()> {
        match fs::remove_file(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The socket file has been made.
    pub(super) fn created(self) -> io::Result<SocketFile> {
        let inode = inode(&fs::symlink_metadata(&self.socket)?);
        Ok(SocketFile { lock: self, inode })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Somebody may have tidied up our lock file, and another peer made its own.
        if self.file.metadata().is_ok_and(|about| is_at(&self.lock, inode(&about))) {
            drop(fs::remove_file(&self.lock));
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // libzmq unlinks whatever it finds and puts its own socket there; that one is not ours to remove.
        if is_at(&self.lock.socket, self.inode) {
            drop(fs::remove_file(&self.lock.socket));
        }
    }
}

/// A folder only we may enter. Dropping it removes it, if it is empty.
#[derive(Debug)]
pub(super) struct PrivateFolder(PathBuf);

impl PrivateFolder {
    /// Makes one, and returns a path for a socket in it.
    pub(super) fn create() -> io::Result<(Self, String)> {
        // The name is hard to guess, but it is mkdir(2) that makes it ours: it never takes a folder that exists.
        let random = RandomState::new().build_hasher().finish();
        let path = std::env::temp_dir().join(format!("zocket-{random:016x}"));
        DirBuilder::new().mode(0o700).create(&path).map_err(|error| naming(&path, &error))?;
        let folder = Self(path);
        match folder.0.join("socket").to_str() {
            Some(socket) => Ok((folder, socket.into())),
            None => Err(naming(&folder.0, &io::Error::new(io::ErrorKind::InvalidInput, "not UTF-8"))),
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

fn is_at(path: &Path, expected: (u64, u64)) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| inode(&about) == expected)
}

fn inode(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn a_path_has_one_owner_while_locks_come_and_go() {
        let (_folder, path) = PrivateFolder::create().unwrap();
        let (owners, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        if let Ok(_lock) = lock(&path) {
                            assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0);
                            taken.fetch_add(1, Ordering::SeqCst);
                            assert_eq!(owners.fetch_sub(1, Ordering::SeqCst), 1);
                        }
                    }
                });
            }
        });
        assert!(taken.into_inner() > 0);
        drop(lock(&path).unwrap());
    }

    #[test]
    fn a_lock_on_a_file_that_is_gone_owns_nothing() {
        let (_folder, path) = PrivateFolder::create().unwrap();
        let first = lock(&path).unwrap();
        let place = first.lock.clone();
        let (early, late) = (open_lock(&place).unwrap(), open_lock(&place).unwrap());
        assert!(matches!(own(&place, early).unwrap(), Owned::Anothers));
        drop(first);
        let _second = lock(&path).unwrap();
        // The lock of the first one's file is free, yet the path is taken.
        assert!(matches!(own(&place, late).unwrap(), Owned::Gone));
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_lock_file_of_another_is_left_alone() {
        let (_folder, path) = PrivateFolder::create().unwrap();
        let ours = lock(&path).unwrap();
        let place = ours.lock.clone();
        fs::remove_file(&place).unwrap();
        let theirs = lock(&path).unwrap();
        drop(ours);
        assert!(place.exists());
        drop(theirs);
        assert!(!place.exists());
    }

    #[test]
    fn a_private_folder_is_private_and_goes_with_its_owner() {
        let (folder, path) = PrivateFolder::create().unwrap();
        let place = folder.0.clone();
        assert!(path.starts_with(place.to_str().unwrap()));
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o700);
        drop(folder);
        assert!(!place.exists());
    }
}
