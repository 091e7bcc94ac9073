//! Every example runs as a user would run it, in a process of its own, and shows what it promises.
//!
//! Cargo builds the examples for `cargo test`; they stand beside this test's own executable. The examples check
//! their results themselves, so a zero exit code says more than that they ended.
#![cfg(all(feature = "tcp", feature = "ipc", unix))]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails fails its test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use tokio::process::Command;
use tokio::time::timeout;

/// Each example that needs no arguments, with lines it prints.
const SHOWS: &[(&str, &[&str])] = &[
    ("async_server", &["client 1 asked 0 to 7", "2160 ms of work, done in "]),
    ("chat", &["charles | ada says it weaves algebra", "ada | mary joined"]),
    ("custom_transport", &["space in a name", "256 jobs over mem://jobs, all there and in order"]),
    ("forwarder", &["Herald: somebody wants tides", "Ada reads: chess from Gazette", "and nowhere else"]),
    ("hello_world", &["world? Hello, world!", "Grace? Pleased to meet you, Grace."]),
    ("lanes", &["1 lane(s): ", "2 lane(s): "]),
    ("monitor", &["ready: the peer is a", "lost: the peer closed the connection", "both messages arrived"]),
    ("multicast_ticker", &["slow: quote 2001 closed", "every quote was heard or counted"]),
    ("quic_pinned", &["it says HELLO OVER QUIC", "a stranger: gave up", "and a says: the peer's key"]),
    ("weather", &["\"oslo\", heard of oslo, oslofjord", "\"\", heard of lima, oslo, oslofjord, quito"]),
];

/// Far beyond what any example takes, on a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(60);

struct Ended {
    code: Option<i32>,
    output: String,
}

async fn run(example: &str, arguments: &[&str]) -> Ended {
    let beside = env::current_exe().unwrap();
    let program = beside.ancestors().nth(2).unwrap().join("examples").join(example);
    assert!(program.exists(), "{example} is not built: run `cargo test`, or `cargo build --examples` first");
    let running = Command::new(program).args(arguments).kill_on_drop(true).output();
    let Ok(ended) = timeout(DEADLINE, running).await else { panic!("{example} {arguments:?} hangs") };
    let ended = ended.unwrap();
    let output = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
    Ended { code: ended.status.code(), output }
}

#[tokio::test]
async fn each_example_ends_well_and_shows_what_it_is_about() {
    for (example, lines) in SHOWS {
        let ended = run(example, &[]).await;
        assert_eq!(ended.code, Some(0), "{example}: {}", ended.output);
        for line in *lines {
            assert!(ended.output.contains(line), "{example} does not show {line:?}: {}", ended.output);
        }
    }
}

#[test]
fn no_example_is_without_a_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeSet<_> =
        names.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    let tested = SHOWS.iter().map(|(name, _)| (*name).to_owned()).chain(["pipeline".to_owned()]);
    assert_eq!(found, tested.collect());
}

#[test]
fn each_example_but_the_pipeline_is_under_a_hundred_lines() {
    for (example, _) in SHOWS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/{example}.rs"));
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines < 100, "{example} has {lines} lines");
    }
}

/// Text of a known number of words, in a folder that is removed at the end.
struct Folder {
    path: PathBuf,
}

impl Folder {
    const COMMON: u64 = 6 * 4000;
    /// In each of the plain files as many others; and one in the file that is not UTF-8, before and behind.
    const WORDS: u64 = 2 * Self::COMMON + 2;

    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        for below in [".git", "target/debug", "deep/er"] {
            fs::create_dir_all(path.join(below)).unwrap();
        }
        for number in 0..6 {
            let at = if number % 2 == 0 { "deep/er" } else { "." };
            // Words that a cut in the wrong place would change, and one line without an end.
            let text = if number == 0 { "Common öther " } else { "Common,\nöther\n" }.repeat(4000);
            fs::write(path.join(at).join(format!("{number}.txt")), text).unwrap();
        }
        fs::write(path.join("empty"), "").unwrap();
        fs::write(path.join("not-utf8"), b"before\xff\xfebehind").unwrap();
        for skipped in [".git/HEAD", "target/debug/notes"] {
            fs::write(path.join(skipped), "never to be counted").unwrap();
        }
        Self { path }
    }

    async fn count(&self, arguments: &[&str]) -> Ended {
        run("pipeline", &[&["--folder", self.path.to_str().unwrap()], arguments].concat()).await
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// The number in front of `unit`, in the line that starts with `start`.
fn number(output: &str, start: &str, unit: &str) -> u64 {
    let found = output.lines().find_map(|line| line.strip_prefix(start)?.split_once(unit));
    let (before, _) = found.unwrap_or_else(|| panic!("no {start:?} .. {unit:?} in {output}"));
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_pipeline_counts_every_word_once_over_every_transport() {
    for transport in ["tcp", "ipc", "inproc"] {
        let folder = Folder::new(transport);
        let Ended { code, output } = folder.count(&["--workers", "3", "--transport", transport]).await;
        assert_eq!(code, Some(0), "{transport}: {output}");
        for word in ["common", "öther"] {
            let line = format!("{:>10}  {word}\n", Folder::COMMON);
            assert!(output.contains(&line), "{transport}: no {line:?} in {output}");
        }
        let proof = format!("Proof: one thread counts {} words in ", Folder::WORDS);
        for shown in
            [&*proof, "the pipeline's count is the same", "4 different ones, in 8 files", " messages/s."]
        {
            assert!(output.contains(shown), "{transport}: no {shown:?} in {output}");
        }
        assert!(output.contains("pieces counted"), "{transport}: no progress in {output}");
    }
}

#[tokio::test]
async fn when_a_worker_dies_the_others_finish_and_every_lost_piece_is_named() {
    let folder = Folder::new("one-dies");
    let Ended { code, output } = folder.count(&["--workers", "3", "--kill-one"]).await;
    assert_eq!(code, Some(1), "{output}");
    let (pieces, words) =
        (number(&output, "Lost: ", " pieces with"), number(&output, "Lost: ", " words, because"));
    assert!(pieces > 0 && output.contains("because worker 1 ended with signal: 6"), "{output}");
    let named = output.lines().filter_map(|line| line.strip_prefix("  ")?.split_once(" pieces: "));
    let named: usize = named.map(|(_, numbers)| numbers.split(' ').count()).sum();
    assert_eq!(named as u64, pieces, "{output}");
    assert_eq!(number(&output, "", " words, 4 different") + words, Folder::WORDS, "{output}");
    assert!(output.contains("what was counted plus what was lost is the same"), "{output}");
}

#[tokio::test]
async fn when_the_last_worker_dies_the_pipeline_ends_and_says_so() {
    let folder = Folder::new("all-die");
    let Ended { code, output } = folder.count(&["--workers", "1", "--kill-one"]).await;
    assert_eq!(code, Some(1), "{output}");
    for shown in [
        "no worker is left",
        "worker 1 ended with signal: 6",
        "what was counted plus what was lost is the same",
    ] {
        assert!(output.contains(shown), "no {shown:?} in {output}");
    }
}

#[tokio::test]
async fn the_pipeline_says_what_is_wrong_with_its_arguments() {
    for (arguments, said) in [
        (&["--workers", "0"][..], "zero"),
        (&["--transport", "pigeon"], "no transport \"pigeon\""),
        (&["--folder", "/no/such/folder"], "/no/such/folder is no folder"),
        (&["--folder"], "--folder needs a value"),
        (&["--faster"], "usage: pipeline"),
        (&["--kill-one", "--transport", "inproc"], "only one"),
    ] {
        let Ended { code, output } = run("pipeline", arguments).await;
        assert!(code == Some(1) && output.contains(said), "{arguments:?}: {output}");
    }
}
