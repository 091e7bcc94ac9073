//! The libraries, one file each: short loops between a library's API and [`crate::load`].
//!
//! To add a rival: a feature, a file with its `CONTENDER`, two lines below.

mod bare;
mod certificate;
#[cfg(feature = "libzmq")]
mod libzmq;
#[cfg(any(feature = "omq", feature = "rzmq", feature = "zeromq"))]
mod loops;
#[cfg(feature = "omq")]
mod omq;
#[cfg(feature = "rzmq")]
mod rzmq;
#[cfg(feature = "zeromq")]
mod zeromq;
mod zocket;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::cell::Cell;
use crate::job::Job;
use crate::load::Report;

#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The ways to run it in a cell, of which the best counts. None: it does not take part.
    pub(crate) variants: fn(Cell) -> &'static [&'static str],
    /// One process of a run.
    pub(crate) peer: fn(&Job) -> Outcome<Report>,
}

pub(crate) const OURS: &str = "ours";
pub(crate) const LIBZMQ: &str = "libzmq";
pub(crate) const BARE: &str = "bare";

/// All of them, in the order they run in and are shown in.
pub(crate) fn contenders() -> impl Iterator<Item = &'static Contender> {
    [
        &zocket::CONTENDER,
        #[cfg(feature = "libzmq")]
        &libzmq::CONTENDER,
        #[cfg(feature = "omq")]
        &omq::CONTENDER,
        #[cfg(feature = "rzmq")]
        &rzmq::CONTENDER,
        #[cfg(feature = "zeromq")]
        &zeromq::CONTENDER,
        &bare::CONTENDER,
    ]
    .into_iter()
}

/// The runtimes that async libraries run in.
const FLAVOURS: &[&str] = &["ct", "mt"];

/// Runs a side as a user's program: a spawned task on the flavour of runtime that the variant names. A job of one
/// process has both sides as tasks of one runtime.
fn in_runtime<F>(job: &Job, side: impl Fn(Job) -> F) -> Outcome<Report>
where
    F: Future<Output = Outcome<Report>> + Send + 'static,
{
    let runtime = runtime(&job.variant)?;
    let Some((serve, dial)) = job.halves() else {
        return runtime.block_on(runtime.spawn(side(job.clone())))?;
    };
    let bound = dial.clone();
    let dial = side(dial);
    let mut sides = JoinSet::new();
    sides.spawn_on(side(serve), runtime.handle());
    let dial = async move {
        bound.told().await;
        dial.await
    };
    sides.spawn_on(dial, runtime.handle());
    let reports = runtime.block_on(all(sides))?;
    let [a, b] = <[Report; 2]>::try_from(reports).map_err(|_| "a job has two sides")?;
    Report::both(a, b)
}

fn runtime(variant: &str) -> Outcome<Runtime> {
    let mut builder = match variant {
        "ct" => Builder::new_current_thread(),
        "mt" => Builder::new_multi_thread(),
        _ => return Err(format!("no runtime {variant:?}").into()),
    };
    Ok(builder.worker_threads(2).enable_all().build()?)
}

/// What all tasks return, or the first error, which ends the others.
async fn all<T: 'static>(mut tasks: JoinSet<Outcome<T>>) -> Outcome<Vec<T>> {
    let mut all = Vec::new();
    while let Some(result) = tasks.join_next().await {
        all.push(result??);
    }
    Ok(all)
}

/// Waits on a thread, for a library that has no runtime.
#[cfg_attr(not(feature = "libzmq"), expect(dead_code, reason = "only rivals with threads need it"))]
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
