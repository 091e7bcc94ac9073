//! zocket beside other message libraries: two processes a cell, in one run, with the same clock and checks.
//!
//! ```text
//! cargo run --release -p rivals                    the gate's cells, three pairs each, under three minutes
//! cargo run --release -p rivals -- --full          every cell, five pairs each
//!     --cell push_pull/ipc     of all cells those whose name has this in it
//!     --pairs 9                more pairs
//!     --gate                   exit code 1 unless the gate holds
//! ```
//!
//! How to read it. A cell is one pattern, transport and size. It is measured in *pairs*: in each, every variant
//! of every library runs once, one after the other, so that a machine that slows down slows all of them. A
//! library counts with the variant that has the better median: zocket on a current-thread or on a two-worker
//! tokio runtime (`ct`, `mt`), libzmq with its default high-water marks or with large ones. `ratio` is the median
//! over the pairs of zocket's figure by libzmq's, `min` and `max` are its range; from two pairs that disagree
//! nothing follows. `bare` is a tokio loop of the same flavour with no library: the floor for round trips.
//!
//! Throughput is counted at the receiver, from the first message to the last. Every message is a fresh copy of
//! its payload and has a number that the receiver checks; the last one says how many there were. A lost
//! message, a time-out or a debug build ends the program with an error, and without a ratio.

mod cell;
mod job;
mod load;
mod pair;
mod report;
mod rivals;

use std::env;
use std::process::ExitCode;

use cell::Cell;
use report::{Gate, Table};

/// Whatever went wrong, in words.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: rivals [--quick | --full] [--cell PATTERN] [--pairs N] [--gate]";

/// What the command line asks for.
struct Plan {
    cells: Vec<Cell>,
    pairs: usize,
    gate: bool,
}

impl Plan {
    fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut full, mut gate, mut pattern, mut pairs) = (false, false, None, None);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => full = false,
                "--full" => full = true,
                "--gate" => gate = true,
                "--cell" => pattern = Some(args.next().ok_or(USAGE)?),
                "--pairs" => pairs = Some(args.next().ok_or(USAGE)?.parse()?),
                _ => return Err(USAGE.into()),
            }
        }
        let cells = match &pattern {
            Some(pattern) => Cell::all().filter(|cell| cell.to_string().contains(pattern)).collect(),
            None => Cell::all().filter(|cell| full || cell.is_quick()).collect::<Vec<_>>(),
        };
        if cells.is_empty() {
            return Err(format!("no cell has {:?} in its name", pattern.unwrap_or_default()).into());
        }
        Ok(Self { cells, pairs: pairs.unwrap_or(if full { 5 } else { 3 }).max(1), gate })
    }
}

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
    let plan = Plan::parse(args)?;
    let (mut table, mut gate) = (Table::default(), Gate::default());
    for cell in plan.cells {
        let row = pair::measure(cell, plan.pairs)?;
        println!("{}", row.to_json());
        gate.add(&row);
        table.add(&row);
    }
    println!("\n{table}");
    let held = gate.verdict();
    Ok(if held || !plan.gate { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
