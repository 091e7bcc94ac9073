//! Peers that leave and come back: whoever stays goes on with the newcomer, for every pattern.
//!
//! The pair talks, one side closes for good, a new socket takes its place at the same address, the pair talks
//! again. Subscribers must be subscribed again, routing ids must find the new connection.

use crate::content::small;
use crate::side::{Pairing, Role};
use crate::stage::{Over, Scene, Stage, Who};

async fn restart(who: Who, binds: Who, over: Over) {
    for pairing in Pairing::ALL {
        for zocket in Role::BOTH {
            let mut stage = Stage::set(Scene { pairing, zocket, binds, over }).await;
            for round in 0..2 {
                stage = stage.converse(small(round)).await.restart(who).await;
            }
            stage.converse(small(2)).await.strike().await;
        }
    }
}

macro_rules! table {
    ($($name:ident: $who:ident restarts, $binds:ident binds, $over:ident;)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            restart(Who::$who, Who::$binds, Over::$over).await;
        }
    )* };
}

table! {
    zocket_goes_on_when_a_binding_libzmq_restarts: Libzmq restarts, Libzmq binds, Tcp;
    zocket_goes_on_when_a_connecting_libzmq_restarts: Libzmq restarts, Zocket binds, Tcp;
    libzmq_goes_on_when_a_binding_zocket_restarts: Zocket restarts, Zocket binds, Tcp;
    libzmq_goes_on_when_a_connecting_zocket_restarts: Zocket restarts, Libzmq binds, Tcp;
    zocket_goes_on_when_a_libzmq_bound_to_ipc_restarts: Libzmq restarts, Libzmq binds, Ipc;
    libzmq_goes_on_when_a_zocket_bound_to_ipc_restarts: Zocket restarts, Zocket binds, Ipc;
}
