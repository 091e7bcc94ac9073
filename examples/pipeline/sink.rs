//! Starts the others, adds up what the workers count, and accounts for every piece.
//!
//! It is over when everybody has left: each result of a worker was read before the end of its connection, so
//! what is missing then will never come.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::time::interval;
use zocket::Pull;

use crate::Fault;
use crate::crew::{Crew, Role};
use crate::options::Options;
use crate::proof::Proof;
use crate::report::Report;
use crate::text::{self, Counts};

/// How many words the table shows.
const SHOWN: usize = 15;

/// Returns whether every piece was counted, and counted right.
pub(crate) async fn run(options: Options) -> Result<bool, Fault> {
    let (tally, took) = collect(&options).await?;
    let proof = Proof::find(Path::new(&options.folder), &tally.counted);

    print_table(&tally.words);
    let total: u64 = tally.words.values().sum();
    println!("\n{total} words, {} different ones, in {} files.", tally.words.len(), proof.files);
    let messages = tally.sent.unwrap_or_default() + tally.counted.len() as u64;
    let rate = messages as f64 / took.as_secs_f64();
    println!("{messages} messages in {:.3} s: {rate:.0} messages/s.", took.as_secs_f64());
    Ok(proof.judge(tally))
}

/// Runs the pipeline to its end.
async fn collect(options: &Options) -> Result<(Tally, Duration), Fault> {
    let results = Pull::new();
    let mut events = results.monitor();
    let sink = results.bind(options.transport.any_endpoint("results")).await?;
    let mut crew = Crew::new(options.transport);
    crew.start(Role::Ventilator {
        folder: options.folder.clone(),
        bind: options.transport.any_endpoint("work"),
        workers: options.workers,
        sink: sink.clone(),
    })?;

    let mut tally = Tally::default();
    let mut progress = interval(Duration::from_millis(100));
    let started = Instant::now();
    while !(crew.is_empty() && results.peers().is_empty()) {
        tokio::select! {
            message = results.recv() => match Report::try_from(&message?)? {
                Report::Bound(from) => for number in 1..=options.workers {
                    let dies = options.kill_one && number == 1;
                    crew.start(Role::Worker { number, from: from.clone(), sink: sink.clone(), dies })?;
                },
                report => tally.take(report),
            },
            Some(end) = crew.next_end() => if let Err(how) = end {
                eprintln!("\n{how}");
                tally.ended_early.push(how);
            },
            // A peer came or left.
            Some(_) = events.next() => {}
            _ = progress.tick() => tally.show(),
        }
    }
    while let Ok(message) = results.try_recv() {
        tally.take(Report::try_from(&message)?);
    }
    tally.show();
    eprintln!();
    Ok((tally, started.elapsed()))
}

/// What is known of the run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) words: Counts,
    /// The numbers of the pieces whose counts came.
    pub(crate) counted: HashSet<u64>,
    pub(crate) counted_twice: bool,
    /// How many pieces were handed out, once the ventilator has said so.
    sent: Option<u64>,
    /// Who did not end well, and how.
    pub(crate) ended_early: Vec<String>,
}

impl Tally {
    fn take(&mut self, report: Report) {
        match report {
            Report::Counted(number, counts) => {
                self.counted_twice |= !self.counted.insert(number);
                counts.iter().for_each(|(word, count)| text::add(&mut self.words, word, *count));
            }
            Report::Sent(pieces) => self.sent = Some(pieces),
            Report::Bound(_) => {}
        }
    }

    fn show(&self) {
        let of = self.sent.map_or_else(String::new, |pieces| format!(" of {pieces}"));
        eprint!("\r{:>8}{of} pieces counted", self.counted.len());
    }
}

fn print_table(words: &Counts) {
    let mut ranked: Vec<_> = words.iter().collect();
    ranked.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
    println!("\n{:>10}  word", "count");
    ranked.iter().take(SHOWN).for_each(|(word, count)| println!("{count:>10}  {word}"));
}
