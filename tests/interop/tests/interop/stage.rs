//! A zocket socket and a libzmq socket, connected and ready to play; either may leave and come back.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::runtime::Handle;
use zocket::Monitor;

use crate::content::Frames;
use crate::ours::{self, Ours};
use crate::side::{Heard, Pairing, Role, play};
use crate::theirs::Theirs;
use crate::within::blocking;

/// One of the two libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Zocket,
    Libzmq,
}

impl Who {
    pub(crate) const BOTH: [Self; 2] = [Self::Zocket, Self::Libzmq];
}

/// The transport under a pair.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Over {
    Tcp,
    Ipc,
}

/// Who is who, and on what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) pairing: Pairing,
    /// The part zocket plays.
    pub(crate) zocket: Role,
    pub(crate) binds: Who,
    pub(crate) over: Over,
}

/// An address to bind; an ipc file goes away with it, as libzmq leaves its own behind.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) address: String,
    file: Option<PathBuf>,
}

impl Place {
    pub(crate) fn new(over: Over) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        match over {
            Over::Tcp => Self { address: "tcp://127.0.0.1:0".to_owned(), file: None },
            Over::Ipc => {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let name = format!("zocket-interop-{}-{number}", std::process::id());
                let file = std::env::temp_dir().join(name);
                Self { address: format!("ipc://{}", file.display()), file: Some(file) }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Whoever bound it may have removed it already.
            drop(std::fs::remove_file(file));
        }
    }
}

/// A connected pair.
#[derive(Debug)]
pub(crate) struct Stage {
    scene: Scene,
    /// Resolved, so that a side that comes back finds the same port.
    place: Place,
    pub(crate) ours: Ours,
    pub(crate) monitor: Monitor,
    pub(crate) theirs: Theirs,
}

impl Stage {
    /// Creates both sockets, connects them, and waits until each side knows the other.
    pub(crate) async fn set(scene: Scene) -> Self {
        let ours = Ours::new(scene.pairing.kind(scene.zocket), scene.zocket.id());
        let theirs = Theirs::new(scene.pairing.kind(scene.zocket.other()), scene.zocket.other().id());
        let mut place = Place::new(scene.over);
        let monitor = ours.monitor();
        place.address = match scene.binds {
            Who::Zocket => ours.bind(&place.address).await,
            Who::Libzmq => theirs.socket.bind(&place.address).unwrap(),
        };
        match scene.binds {
            Who::Zocket => theirs.socket.connect(&place.address).unwrap(),
            Who::Libzmq => ours.connect(&place.address),
        }
        Self { scene, place, ours, monitor, theirs }.both_ready().await
    }

    /// Where the two met.
    pub(crate) fn address(&self) -> &str {
        &self.place.address
    }

    async fn both_ready(self) -> Self {
        let Self { scene, place, ours, mut monitor, theirs } = self;
        let (theirs, ()) = tokio::join!(
            blocking(move || {
                theirs.until_ready();
                theirs
            }),
            ours::until_ready(&mut monitor)
        );
        Self { scene, place, ours, monitor, theirs }
    }

    /// Lets both sides play their parts over these messages.
    pub(crate) async fn converse(self, messages: Vec<Frames>) -> Self {
        let Self { scene, place, ours, monitor, theirs } = self;
        let Scene { pairing, zocket, .. } = scene;
        let (messages, heard) = (Arc::new(messages), Arc::new(Heard::default()));
        let thread = {
            let (messages, heard, runtime) = (messages.clone(), heard.clone(), Handle::current());
            blocking(move || {
                runtime.block_on(play(&theirs, zocket.other(), pairing, &messages, &heard));
                theirs
            })
        };
        let (theirs, ()) = tokio::join!(thread, play(&ours, zocket, pairing, &messages, &heard));
        Self { scene, place, ours, monitor, theirs }
    }

    /// One side closes, the other notices; a new socket takes its place at the same address, and both are ready.
    pub(crate) async fn restart(self, who: Who) -> Self {
        let Self { scene, place, ours, mut monitor, theirs } = self;
        let (ours, monitor, theirs) = match who {
            Who::Zocket => {
                ours.close().await;
                drop(monitor);
                let theirs = blocking(move || {
                    theirs.until_gone();
                    theirs
                })
                .await;
                let ours = Ours::new(scene.pairing.kind(scene.zocket), scene.zocket.id());
                let monitor = ours.monitor();
                match scene.binds {
                    Who::Zocket => drop(ours.bind(&place.address).await),
                    Who::Libzmq => ours.connect(&place.address),
                }
                (ours, monitor, theirs)
            }
            Who::Libzmq => {
                blocking(move || drop(theirs)).await;
                ours::until_gone(&mut monitor).await;
                let role = scene.zocket.other();
                let theirs = Theirs::new(scene.pairing.kind(role), role.id());
                match scene.binds {
                    Who::Zocket => theirs.socket.connect(&place.address).unwrap(),
                    Who::Libzmq => drop(theirs.socket.bind(&place.address).unwrap()),
                }
                (ours, monitor, theirs)
            }
        };
        Self { scene, place, ours, monitor, theirs }.both_ready().await
    }

    /// Both sides close; nothing may hang.
    pub(crate) async fn strike(self) {
        self.ours.close().await;
        blocking(move || drop(self.theirs)).await;
    }
}
