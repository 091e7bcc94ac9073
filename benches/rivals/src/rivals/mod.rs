//! The libraries, one file each: four short loops between a library's API and [`crate::load`].
//!
//! To add a rival: a feature, a file with its `CONTENDER`, a line below.

mod bare;
#[cfg(feature = "libzmq")]
mod libzmq;
mod zocket;

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::cell::Pattern;
use crate::job::Job;
use crate::load::Report;

#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// The ways to run it in a pattern, of which the best counts. None: it does not take part.
    pub(crate) variants: fn(Pattern) -> &'static [&'static str],
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
        &bare::CONTENDER,
    ]
    .into_iter()
}

/// The runtimes that async libraries run in.
const FLAVOURS: &[&str] = &["ct", "mt"];

/// Runs a user's program: a spawned task on the flavour of runtime that the variant names.
fn in_task<F>(variant: &str, program: F) -> Outcome<Report>
where
    F: Future<Output = Outcome<Report>> + Send + 'static,
{
    let runtime = runtime(variant)?;
    runtime.block_on(runtime.spawn(program))?
}

fn runtime(variant: &str) -> Outcome<Runtime> {
    let mut builder = match variant {
        "ct" => Builder::new_current_thread(),
        "mt" => Builder::new_multi_thread(),
        _ => return Err(format!("no runtime {variant:?}").into()),
    };
    Ok(builder.worker_threads(2).enable_all().build()?)
}
