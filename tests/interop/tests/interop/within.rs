//! Deadlines: a wait that does not end is a failure with a name.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long anything may take. Far above what is needed on a busy machine, far below a test runner's patience.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The same in milliseconds, for libzmq's options.
pub(crate) const DEADLINE_MS: i32 = 20_000;

/// How long one look waits for what it looks for.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// Awaits `future`, or panics naming what was awaited.
pub(crate) async fn within<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Asks `found` again and again on this thread until it has an answer, or panics naming what was awaited. It waits
/// itself, in libzmq, for at most [`TICK`].
pub(crate) fn until<T>(what: impl Display, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = found() {
            return answer;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
    }
}

/// Runs blocking work on a thread of its own; its panic becomes this task's panic at once.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
