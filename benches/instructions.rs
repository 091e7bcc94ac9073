//! Instructions a message on the hot paths, counted by valgrind's callgrind: the same on a noisy machine as on a
//! quiet one, so a regression shows where times cannot.
//!
//! ```text
//! cargo bench --bench instructions --features __internals
//! ```
//!
//! The program runs itself under valgrind, each case with few and with many messages; the difference is the cost
//! of a message without that of starting. Two promises are checked: a case takes no more than a tenth above its
//! figure in [`CASES`], and the cases of a group lie within a tenth of each other, however many peers there are
//! and however full the queue is. The figures are of x86-64 with glibc 2.36 and rustc 1.95.

use std::env;
use std::process::{Command, ExitCode};

use zocket::internals::Queue;
use zocket::{Context, Pull, Push};

/// What a peer sends: too long to live inside a frame.
const PAYLOAD: [u8; 64] = [7; 64];

/// Messages of the two runs whose difference counts: whole rounds over the most peers.
const FEW: u32 = 2_000;
const MANY: u32 = 12_000;

/// How far above its figure a case may be, and how far apart a group.
const TOLERANCE: f64 = 0.10;

struct Case {
    group: &'static str,
    /// Peers, or messages that wait.
    size: usize,
    run: fn(usize, u32),
    /// Instructions a message.
    figure: f64,
}

const fn case(group: &'static str, size: usize, run: fn(usize, u32), figure: f64) -> Case {
    Case { group, size, run, figure }
}

/// Groups of cases that must cost the same.
const CASES: [Case; 9] = [
    case("push and pop, messages waiting", 0, queue, 359.0),
    case("push and pop, messages waiting", 100, queue, 346.0),
    case("push and pop, messages waiting", 999, queue, 346.0),
    case("one PUSH to PULLs", 1, fan_out, 907.0),
    case("one PUSH to PULLs", 100, fan_out, 906.0),
    case("one PUSH to PULLs", 1000, fan_out, 905.0),
    case("PUSHes to one PULL", 1, fan_in, 905.0),
    case("PUSHes to one PULL", 100, fan_in, 978.0),
    case("PUSHes to one PULL", 1000, fan_in, 978.0),
];

/// Encodes a message at the tail of a queue and decodes one at its front.
fn queue(waiting: usize, messages: u32) {
    let mut queue = Queue::default();
    (0..waiting).for_each(|_| queue.push(&PAYLOAD));
    for _ in 0..messages {
        queue.push(&PAYLOAD);
        assert!(queue.pop().is_some(), "one was just pushed");
    }
}

/// Sends to one of many in turn, and receives it there.
fn fan_out(peers: usize, messages: u32) {
    let (context, push) = sockets();
    let pulls: Vec<_> = (0..peers).map(|_| Pull::builder().context(&context).build()).collect();
    for (number, pull) in pulls.iter().enumerate() {
        let name = format!("inproc://{number}");
        bind(pull, &name);
        push.connect(name.as_str()).expect("the name is well formed");
    }
    for pull in pulls.iter().cycle().take(messages as usize) {
        push.try_send(&PAYLOAD).expect("there is room");
        pull.try_recv().expect("it was sent to this one");
    }
}

/// Sends from one of many in turn, and receives it.
fn fan_in(peers: usize, messages: u32) {
    let (context, push) = sockets();
    let pull = Pull::builder().context(&context).build();
    bind(&pull, "inproc://all");
    let mut pushes = vec![push];
    pushes.extend((1..peers).map(|_| Push::builder().context(&context).build()));
    pushes.iter().for_each(|push| push.connect("inproc://all").expect("the name is well formed"));
    for push in pushes.iter().cycle().take(messages as usize) {
        push.try_send(&PAYLOAD).expect("there is room");
        pull.try_recv().expect("one was just sent");
    }
}

fn sockets() -> (Context, Push) {
    let context = Context::new();
    let push = Push::builder().context(&context).build();
    (context, push)
}

/// In process, nothing is waited for.
fn bind(pull: &Pull, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(pull.bind(name)).expect("the name is free");
}

/// Instructions of one run of a case.
fn count(index: usize, messages: u32) -> Result<f64, String> {
    let this = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--case", &index.to_string(), &messages.to_string()])
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let total = report.lines().find_map(|line| line.split_once("Collected : "));
    match total.and_then(|(_, total)| total.trim().parse().ok()) {
        Some(total) if output.status.success() => Ok(total),
        _ => Err(format!("no count in what valgrind says:\n{report}")),
    }
}

/// Runs all cases. Says whether every promise was kept.
fn all() -> Result<bool, String> {
    let mut kept = true;
    let mut group: Vec<(&str, f64)> = Vec::new();
    println!("{:<34}{:>6}{:>14}{:>10}", "instructions a message", "size", "counted", "figure");
    for (index, case) in CASES.iter().enumerate() {
        let counted = (count(index, MANY)? - count(index, FEW)?) / f64::from(MANY - FEW);
        let slower = counted > case.figure * (1.0 + TOLERANCE);
        let verdict = if slower { "  MORE" } else { "" };
        println!("{:<34}{:>6}{counted:>14.0}{:>10.0}{verdict}", case.group, case.size, case.figure);
        kept &= !slower;
        group.retain(|(name, _)| *name == case.group);
        group.push((case.group, counted));
        let least = group.iter().map(|(_, counted)| *counted).fold(f64::INFINITY, f64::min);
        if counted > least * (1.0 + TOLERANCE) {
            println!("{}: {} cost more than a tenth more than the least", case.group, case.size);
            kept = false;
        }
    }
    Ok(kept)
}

fn main() -> ExitCode {
    let args: Vec<_> = env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--case") {
        let number = |offset: usize| args.get(at + offset).and_then(|arg| arg.parse::<u32>().ok());
        let case = number(1).and_then(|index| CASES.get(index as usize));
        let (Some(case), Some(messages)) = (case, number(2)) else { return ExitCode::FAILURE };
        (case.run)(case.size, messages);
        return ExitCode::SUCCESS;
    }
    match all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
