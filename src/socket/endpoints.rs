//! What a socket is bound and connected to. Control plane: this lock is never held together with another.

use std::sync::Mutex;

use tokio::task::JoinHandle;
use zocket_transport::Endpoint;

use crate::error::Disconnect;
use crate::pipe::PipeId;
use crate::sync::lock;

/// The endpoints of one socket.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    bound: Vec<Bound>,
    dialled: Vec<Dialled>,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) endpoint: Endpoint,
    /// Its accept task; an in-process name has none.
    pub(super) task: Option<JoinHandle<()>>,
}

/// A connection that this side makes.
#[derive(Debug, Clone)]
pub(super) struct Dialled {
    pub(super) endpoint: Endpoint,
    pub(super) pipe: PipeId,
    gave_up: Option<Disconnect>,
}

impl Endpoints {
    pub(super) fn add_bound(&self, endpoint: Endpoint, task: Option<JoinHandle<()>>) {
        lock(&self.table).bound.push(Bound { endpoint, task });
    }

    pub(super) fn remove_bound(&self, endpoint: &Endpoint) -> Option<Bound> {
        let mut table = lock(&self.table);
        let index = table.bound.iter().position(|bound| bound.endpoint == *endpoint)?;
        Some(table.bound.swap_remove(index))
    }

    pub(super) fn take_bound(&self) -> Vec<Bound> {
        std::mem::take(&mut lock(&self.table).bound)
    }

    pub(super) fn add_dialled(&self, endpoint: Endpoint, pipe: PipeId) {
        let dialled = &mut lock(&self.table).dialled;
        dialled.retain(|old| old.endpoint != endpoint || old.gave_up.is_none());
        dialled.push(Dialled { endpoint, pipe, gave_up: None });
    }

    /// The latest connection to an endpoint.
    pub(super) fn dialled(&self, endpoint: &Endpoint) -> Option<Dialled> {
        lock(&self.table).dialled.iter().rfind(|dialled| dialled.endpoint == *endpoint).cloned()
    }

    pub(super) fn remove_dialled(&self, endpoint: &Endpoint) -> Option<Dialled> {
        let mut table = lock(&self.table);
        let index = table.dialled.iter().position(|dialled| dialled.endpoint == *endpoint)?;
        Some(table.dialled.remove(index))
    }

    /// Remembers why a connection was given up, for those who wait for it.
    pub(super) fn gave_up(&self, endpoint: &Endpoint, reason: Disconnect) {
        let mut table = lock(&self.table);
        if let Some(dialled) = table.dialled.iter_mut().rfind(|dialled| dialled.endpoint == *endpoint) {
            dialled.gave_up = Some(reason);
        }
    }
}

impl Dialled {
    /// Why the connection was given up, if it was.
    pub(super) fn into_gave_up(self) -> Option<Disconnect> {
        self.gave_up
    }

    pub(super) const fn has_given_up(&self) -> bool {
        self.gave_up.is_some()
    }
}
