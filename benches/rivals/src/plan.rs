//! What the command line asks for.

use std::path::PathBuf;

use crate::Outcome;
use crate::cell::Cell;
use crate::load::Pace;

const USAGE: &str = "usage: rivals [--quick | --full] [--cell PATTERN]… [--pairs N] [--gate] [--json FILE] [--plots DIR]\n       rivals --head-of-line";

pub(crate) struct Plan {
    pub(crate) cells: Vec<Cell>,
    pub(crate) pairs: usize,
    pub(crate) pace: Pace,
    /// Whether the exit code says if the targets hold.
    pub(crate) gate: bool,
    pub(crate) json: Option<PathBuf>,
    pub(crate) plots: Option<PathBuf>,
}

impl Plan {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut is_full, mut gate, mut pairs, mut patterns) = (None, false, None, Vec::new());
        let (mut json, mut plots) = (None, None);
        while let Some(arg) = args.next() {
            let mut word = || args.next().ok_or(USAGE);
            match arg.as_str() {
                "--quick" => is_full = Some(false),
                "--full" => is_full = Some(true),
                "--gate" => gate = true,
                "--cell" => patterns.push(word()?),
                "--pairs" => pairs = Some(word()?.parse::<usize>()?),
                "--json" => json = Some(word()?.into()),
                "--plots" => plots = Some(word()?.into()),
                _ => return Err(USAGE.into()),
            }
        }
        // Who names cells wants them measured well.
        let is_full = is_full.unwrap_or(!patterns.is_empty());
        let wanted = |cell: &Cell| {
            let name = cell.to_string();
            match &patterns[..] {
                [] => is_full || cell.is_quick(),
                patterns => patterns.iter().any(|pattern| name.contains(pattern)),
            }
        };
        let cells = Cell::all().filter(wanted).collect::<Vec<_>>();
        if cells.is_empty() {
            return Err(format!("no cell has any of {patterns:?} in its name").into());
        }
        let (least, pace) = if is_full { (5, Pace::FULL) } else { (3, Pace::QUICK) };
        Ok(Self { cells, pairs: pairs.unwrap_or(least).max(1), pace, gate, json, plots })
    }

    /// The descriptors that one process needs: libzmq has two for a socket.
    pub(crate) fn descriptors(&self) -> u64 {
        let sockets = self.cells.iter().map(|cell| cell.senders()).max().unwrap_or(0);
        sockets as u64 * 2 + 200
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Outcome<Plan> {
        Plan::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn quick_runs_are_short_and_full_ones_have_all_cells() {
        let quick = plan("--quick --gate").unwrap();
        assert!(quick.gate && quick.pace == Pace::QUICK && quick.cells.iter().all(|cell| cell.is_quick()));
        assert_eq!(plan("").unwrap().cells, quick.cells);
        let full = plan("--full --json out").unwrap();
        assert_eq!((full.cells.len(), full.pairs, full.pace), (Cell::all().count(), 5, Pace::FULL));
    }

    #[test]
    fn cells_are_picked_by_parts_of_their_names() {
        let picked = plan("--cell req_rep/tcp --cell idle --pairs 9").unwrap();
        assert_eq!((picked.cells.len(), picked.pairs, picked.pace), (4, 9, Pace::FULL));
        assert!(plan("--cell nothing").is_err() && plan("--pairs").is_err() && plan("--fast").is_err());
    }

    #[test]
    fn many_connections_need_many_descriptors() {
        assert_eq!(plan("--cell connect").unwrap().descriptors(), 4200);
        assert_eq!(plan("--cell fan_out").unwrap().descriptors(), 202);
    }
}
