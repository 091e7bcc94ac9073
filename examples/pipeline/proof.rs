//! A count made by one thread is the judge: it must equal what was counted, plus what is reported as lost.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sink::Tally;
use crate::text::{self, Counts};

/// What one thread finds in the folder.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    pub(crate) files: usize,
    /// How many there are; also the number of the next one.
    pieces: u64,
    words: Counts,
    lost: Lost,
    took: Duration,
}

/// The pieces that were not counted.
#[derive(Debug, Default)]
struct Lost {
    pieces: usize,
    words: Counts,
    /// A line for each file.
    lines: Vec<String>,
}

impl Proof {
    /// Counts again. What is not among `counted` was lost.
    pub(crate) fn find(folder: &Path, counted: &HashSet<u64>) -> Self {
        let mut proof = Self::default();
        let started = Instant::now();
        for (path, text) in text::files(folder) {
            let name = path.strip_prefix(folder).unwrap_or(&path).display();
            match text {
                Ok(text) => proof.add(&name.to_string(), &text, counted),
                Err(error) => eprintln!("not counted: {name}: {error}"),
            }
        }
        proof.took = started.elapsed();
        proof
    }

    fn add(&mut self, name: &str, text: &str, counted: &HashSet<u64>) {
        let (mut of, mut lost) = (0, Vec::new());
        for piece in text::pieces(text) {
            of += 1;
            text::count(piece, &mut self.words);
            if !counted.contains(&self.pieces) {
                text::count(piece, &mut self.lost.words);
                lost.push(of.to_string());
            }
            self.pieces += 1;
        }
        self.files += 1;
        self.lost.pieces += lost.len();
        if !lost.is_empty() {
            self.lost.lines.push(format!("{name}: {} of its {of} pieces: {}", lost.len(), lost.join(" ")));
        }
    }

    /// Says what was lost, and whether the sum is right. Returns whether all is well.
    pub(crate) fn judge(&self, mut tally: Tally) -> bool {
        let Lost { pieces, words, lines } = &self.lost;
        let mut what = "the pipeline's count";
        if *pieces > 0 {
            let sum: u64 = words.values().sum();
            println!("\nLost: {pieces} pieces with {sum} words, because {}:", tally.ended_early.join(", "));
            lines.iter().for_each(|line| println!("  {line}"));
            what = "what was counted plus what was lost";
        }
        words.iter().for_each(|(word, count)| text::add(&mut tally.words, word, *count));
        let is_right = tally.words == self.words && !tally.counted_twice;
        let compares =
            if is_right { "is the same, word for word" } else { "DIFFERS (did a file change meanwhile?)" };
        let (total, took): (u64, _) = (self.words.values().sum(), self.took.as_secs_f64());
        println!("Proof: one thread counts {total} words in {took:.3} s; {what} {compares}.");
        is_right && *pieces == 0
    }
}
