//! Every pattern carries every size of body, in one frame and in several, byte for byte.
//!
//! Rows of the table: pairs of kinds. Columns: the transport and who binds. Each cell runs twice, with zocket as the
//! asking and as the answering side. Routing ids and delimiters are checked on the way (`side.rs`).

use interop::libzmq::Kind;

use crate::content::every_size;
use crate::side::{Pairing, Role};
use crate::stage::{Over, Scene, Stage, Who};

async fn carry(pairing: Pairing, over: Over, binds: Who) {
    for zocket in Role::BOTH {
        let stage = Stage::set(Scene { pairing, zocket, binds, over }).await;
        stage.converse(every_size()).await.strike().await;
    }
}

macro_rules! table {
    ($($name:ident: $asker:ident => $answerer:ident,)*) => { $(
        mod $name {
            use super::*;

            const PAIRING: Pairing = Pairing::new(Kind::$asker, Kind::$answerer);

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn carries_every_body_over_tcp_when_zocket_binds() {
                carry(PAIRING, Over::Tcp, Who::Zocket).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn carries_every_body_over_tcp_when_libzmq_binds() {
                carry(PAIRING, Over::Tcp, Who::Libzmq).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn carries_every_body_over_ipc_when_zocket_binds() {
                carry(PAIRING, Over::Ipc, Who::Zocket).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn carries_every_body_over_ipc_when_libzmq_binds() {
                carry(PAIRING, Over::Ipc, Who::Libzmq).await;
            }
        }
    )* };
}

table! {
    push_to_pull: Push => Pull,
    pub_to_sub: Pub => Sub,
    xpub_to_xsub: XPub => XSub,
    req_to_rep: Req => Rep,
    dealer_to_router: Dealer => Router,
    req_to_router: Req => Router,
    dealer_to_rep: Dealer => Rep,
    dealer_to_dealer: Dealer => Dealer,
    router_to_router: Router => Router,
    pair_to_pair: Pair => Pair,
}
