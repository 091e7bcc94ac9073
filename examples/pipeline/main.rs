//! Counts the words of every file below a folder: a ventilator hands out pieces of text, workers count their
//! words, a sink adds them up. Each is a process of its own, and no broker stands between them.
//!
//! ```text
//!                              ┌─> PULL worker 1 PUSH ─┐
//! files ─> ventilator PUSH ────┼─> PULL worker 2 PUSH ─┼────> PULL sink ─> table, rate, proof
//!                              └─> PULL worker 3 PUSH ─┘
//! ```
//!
//! One command starts them all; the process you start is the sink, and runs itself again for the others:
//!
//! ```text
//! cargo run --release --example pipeline
//! cargo run --release --example pipeline -- --workers 8 --folder /usr/share/doc --transport ipc
//! ```
//!
//! Kill a worker meanwhile, or let `--kill-one` do it: the others go on, and the sink names every piece that was
//! lost with it. It can, because each piece has a number that comes back with its count.

mod crew;
mod options;
mod proof;
mod report;
mod sink;
mod text;
mod ventilator;
mod worker;

use std::env;
use std::process::ExitCode;

use crew::Role;
use options::Options;

/// Whatever ends a process of the pipeline early.
type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn run(arguments: Vec<String>) -> Result<ExitCode, Fault> {
    if let Some(role) = Role::from_arguments(&arguments)? {
        return role.play().await.map(|()| ExitCode::SUCCESS);
    }
    let complete = sink::run(Options::parse(&arguments)?).await?;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[tokio::main]
async fn main() -> ExitCode {
    // Spawned, because futures of sockets run fastest on the runtime's own threads.
    let running = tokio::spawn(run(env::args().skip(1).collect()));
    let outcome = running.await.unwrap_or_else(|panic| Err(panic.into()));
    outcome.unwrap_or_else(|fault| {
        eprintln!("pipeline: {fault}");
        ExitCode::FAILURE
    })
}
