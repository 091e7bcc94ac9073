//! A link once it is there: its order and its windows, its end and the reason for it, and a peer that moves.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zocket_transport::quic::{Identity, Quic, Trust};
use zocket_transport::{CloseReason, KeepAlive, LinkOptions, Liveness, Transport};

use super::{accept, bind, endpoint, pair, pinned, soon, stream};

#[tokio::test]
async fn a_client_may_change_its_address_under_way() {
    const CHUNKS: u32 = 500;
    const CHUNK: usize = 16 * 1024;
    let quic = pinned();
    let (ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
    let (mut ours, mut theirs) = (stream(ours), stream(theirs));
    let sending = async {
        for number in 0..CHUNKS {
            if number % 100 == 50 {
                quic.rebind().unwrap();
            }
            soon(ours.write_all(&number.to_be_bytes().repeat(CHUNK / 4))).await.unwrap();
        }
        soon(ours.shutdown()).await.unwrap();
    };
    let receiving = async {
        let mut chunk = vec![0; CHUNK];
        for number in 0..CHUNKS {
            soon(theirs.read_exact(&mut chunk)).await.unwrap();
            assert!(chunk == number.to_be_bytes().repeat(CHUNK / 4), "chunk {number} is another");
        }
        assert_eq!(soon(theirs.read(&mut chunk)).await.unwrap(), 0);
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_up() {
    const WINDOW: usize = 64 * 1024;
    /// The first byte of the stream is the lane.
    const FULL: usize = WINDOW - 1;
    let quic = pinned();
    let mut options = LinkOptions::default();
    (options.send_buffer, options.receive_buffer) = (Some(WINDOW), Some(WINDOW));
    let at = endpoint("quic://127.0.0.1:*");
    let mut listener = quic.bind(&at, &options).await.unwrap();
    let to = listener.endpoint().clone();
    let (ours, theirs) = tokio::join!(quic.connect(&to, &options), accept(&mut *listener));
    let (mut ours, mut theirs) = (stream(ours.unwrap()), stream(theirs.unwrap()));
    soon(ours.write_all(&[7; FULL])).await.unwrap();
    let is_full =
        poll_fn(|cx| Poll::Ready(Pin::new(&mut ours).poll_write(cx, &[7; 4096]).is_pending())).await;
    assert!(is_full, "more is under way than the window holds");
    soon(theirs.read_exact(&mut vec![0; FULL])).await.unwrap();
    soon(ours.write_all(&[7; WINDOW])).await.unwrap();
}

/// On threads, for room has to be made between two slices of one call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_that_do_not_fit_the_window_are_written_in_order() {
    const TOTAL: usize = 32 << 20;
    let quic = pinned();
    let mut options = LinkOptions::default();
    (options.send_buffer, options.receive_buffer) = (Some(10_000), Some(10_000));
    let mut listener = quic.bind(&endpoint("quic://127.0.0.1:*"), &options).await.unwrap();
    let to = listener.endpoint().clone();
    let (ours, theirs) = tokio::join!(quic.connect(&to, &options), accept(&mut *listener));
    let (mut ours, mut theirs) = (stream(ours.unwrap()), stream(theirs.unwrap()));
    // 251 divides no slice and no window.
    let bytes: Vec<_> = (0..=250).cycle().take(TOTAL).collect();
    let writing = async {
        let mut slices: Vec<_> = bytes.chunks(3001).map(IoSlice::new).collect();
        let mut left = &mut *slices;
        while !left.is_empty() {
            let written = soon(ours.write_vectored(left)).await.unwrap();
            IoSlice::advance_slices(&mut left, written);
        }
    };
    let mut received = vec![0; TOTAL];
    let (_, read) = tokio::join!(writing, soon(theirs.read_exact(&mut received)));
    read.unwrap();
    assert!(received == bytes, "bytes are missing or misplaced");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_connection() {
    let quic = pinned();
    let (ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
    let (mut ours, mut theirs) = (stream(ours), stream(theirs));
    soon(ours.write_all(&[7; 100_000])).await.unwrap();
    soon(ours.shutdown()).await.unwrap();
    drop(ours);
    // Nothing has been read so far.
    soon(async {
        while theirs.write_all(b"anybody there?").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut all = Vec::new();
    soon(theirs.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all.len(), 100_000);
}

#[tokio::test]
async fn a_reason_for_closing_reaches_the_peer() {
    for why in [
        CloseReason::Protocol,
        CloseReason::SocketType,
        CloseReason::NotAllowed,
        CloseReason::TryLater,
        CloseReason::Internal,
        CloseReason::TooLarge,
    ] {
        let quic = pinned();
        let (mut ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
        ours.closer.take().unwrap().close(why);
        let told = soon(stream(theirs).read_u8()).await.unwrap_err();
        assert_eq!(CloseReason::of(&told), Some(why));
        assert_eq!(told.kind(), io::ErrorKind::ConnectionAborted);
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_is_missed_in_time() {
    let (quic, beat) = (pinned(), Duration::from_millis(100));
    let mut options = LinkOptions::default();
    options.liveness = Some(Liveness { interval: beat, timeout: beat });
    let mut listener = bind(&quic).await;
    let to = listener.endpoint().clone();
    // The peer's runtime is its own, and ends without a word.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connecting = runtime.spawn(quic.connect(&to, &options));
    let link = accept(&mut *listener).await.unwrap();
    let vanished = soon(connecting).await.unwrap().unwrap();
    runtime.shutdown_background();
    let end = soon(stream(link).read_u8()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::TimedOut);
    drop(vanished);
}

#[tokio::test]
async fn a_server_that_was_killed_and_started_again_is_missed_at_the_next_packet() {
    let path = std::env::temp_dir().join(format!("zocket-test-killed-{}.pem", std::process::id()));
    let identity = Identity::generate().unwrap();
    identity.save(&path).unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    let mut options = LinkOptions::default();
    // No silence ends a link.
    options.keep_alive = KeepAlive::Off;
    let (bound, at) = tokio::sync::oneshot::channel();
    let server = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let alive = runtime.block_on(async {
            let mut listener = bind(&Quic::server(identity)).await;
            bound.send(listener.endpoint().clone()).unwrap();
            (accept(&mut *listener).await.unwrap(), listener)
        });
        // What is dropped later cannot say a word.
        drop(runtime);
        drop(alive);
    });
    let to = soon(at).await.unwrap();
    let mut link = stream(soon(client.connect(&to, &options)).await.unwrap());
    soon(server).await.unwrap();
    let again = Quic::server(Identity::load(&path).unwrap());
    let _again = soon(again.bind(&to, &options)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    soon(link.write_all(b"anybody there?")).await.unwrap();
    let end = soon(link.read_u8()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset, "{end}");
}
