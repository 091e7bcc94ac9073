//! zocket beside other message libraries: two processes a cell, in one run, with the same clock and checks.
//!
//! ```text
//! cargo run --release -p rivals                    the cells of QUICK, three short pairs each, under three minutes
//! cargo run --release -p rivals -- --full          every cell, five pairs each: an hour, more with more rivals
//!     --cell push_pull/ipc     of all cells those whose name has this in it; may be said again
//!     --pairs 9                more pairs
//!     --gate                   exit code 1 unless all targets hold that were measured
//!     --json FILE              adds the lines that are printed to a file
//!     --plots DIR              draws what was measured
//! cargo run --release -p rivals -- --head-of-line  small messages beside a large transfer over a bad line, two minutes
//! ```
//!
//! How to read it. A cell is one pattern, transport and size. It is measured in *pairs*: in each, every variant
//! of every library runs once, one after the other, so that a machine that slows down slows all of them. A
//! library counts with the variant that has the better median: zocket on a current-thread or on a two-worker
//! tokio runtime (`ct`, `mt`), libzmq with its default high-water marks or with large ones. `ratio` is the median
//! over the pairs of zocket's figure by libzmq's, `min` and `max` are its range; from pairs that disagree
//! nothing follows, so a full run measures such a cell again, and says so if they still do. `bare` is a tokio
//! loop of the same flavour with no library: the floor.
//!
//! Throughput is counted at the receiver, after a warm-up. Every message is a fresh copy of its payload (but for
//! `shared`) and has a number that the receiver checks; the last one says how many there were. A lost message,
//! a time-out or a debug build ends the program with an error, and without a ratio; a rival that fails is left
//! out of its cell, and said to have failed. Over udp, where messages may be lost, those count that
//! arrive within the receiver's time; how many did not is in the table.

mod cell;
mod head_of_line;
mod job;
mod load;
mod pair;
mod plan;
mod plot;
mod rivals;
mod row;
mod table;
mod targets;
mod usage;

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::ExitCode;

use load::Pace;
use plan::Plan;
use table::Table;
use targets::Targets;

/// Whatever went wrong, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<ExitCode> {
    if cfg!(debug_assertions) {
        return Err(
            "this is a debug build, which measures nothing: use `cargo run --release -p rivals`".into()
        );
    }
    let mut args = env::args().skip(1).peekable();
    if args.next_if(|arg| arg == job::PEER).is_some() {
        return job::Job::from_args(args)?.run().map(|()| ExitCode::SUCCESS);
    }
    if args.next_if(|arg| arg == "--head-of-line").is_some() {
        return head_of_line::run().map(|holds| if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let plan = Plan::parse(args)?;
    usage::raise_descriptor_limit(plan.descriptors())?;
    let mut json = match &plan.json {
        Some(path) => Some(OpenOptions::new().create(true).append(true).open(path)?),
        None => None,
    };
    let (mut table, mut targets) = (Table::default(), Targets::new());
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for cell in &plan.cells {
        let row = match pair::measure(*cell, plan.pairs, plan.pace) {
            Ok(row) => row,
            Err(error) => {
                eprintln!("error: {error}");
                broken.push(error.to_string());
                continue;
            }
        };
        println!("{}", row.to_json());
        if let Some(json) = &mut json {
            writeln!(json, "{}", row.to_json())?;
        }
        targets.add(&row);
        table.add(&row);
        rows.push(row);
    }
    println!("\n{table}\n{targets}");
    if plan.pace == Pace::QUICK {
        println!("Short runs, for a look: the targets are meant for full ones.");
    }
    if let Some(folder) = &plan.plots {
        plot::draw(&rows, folder)?;
    }
    if !broken.is_empty() {
        return Err(format!("{} cells could not be measured:\n{}", broken.len(), broken.join("\n")).into());
    }
    let held = targets.hold();
    Ok(if held || !plan.gate { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
