//! Hosts on one network, made of the kernel's namespaces: each has an interface `eth0` at 10.0.0.n, a cable to a bridge.
//!
//! Making them takes a root, if only of a user namespace of its own: a test runs once more in a process that is one
//! ([`alone`]). A host is a runtime whose threads are in its namespace, so sockets made there are the host's.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Far beyond what anything takes here.
const DEADLINE: Duration = Duration::from_secs(60);

/// Set within the process that a test has for itself.
const WITHIN: &str = "ZOCKET_TEST_HOSTS";

const PLAYED: &str = "this was played among hosts";

/// Runs the test of that name in a process that may make hosts; where there can be none, says why, and skips it.
pub(crate) fn alone(test: &str, play: impl FnOnce(&mut Network)) {
    if std::env::var_os(WITHIN).is_some() {
        play(&mut Network::new());
        println!("{PLAYED}");
        return;
    }
    if let Err(reason) = possible() {
        return say(&format!("{test} is skipped: no hosts can be made: {reason}"));
    }
    let program = std::env::current_exe().unwrap();
    let output =
        root().arg(program).args(["--exact", test, "--nocapture"]).env(WITHIN, "1").output().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains(PLAYED), "{said}{errors}");
    if !errors.is_empty() {
        say(errors.trim_end());
    }
}

/// Says something that is seen though the test passes: of the usual output nothing is.
pub(crate) fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// A command that runs as root in new namespaces.
fn root() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net", "--"]);
    command
}

fn possible() -> Result<(), String> {
    let cable = ["ip", "link", "add", "name", "left", "type", "veth", "peer", "name", "right"];
    done(root().args(cable).output())
}

/// What a command says if it fails.
fn done(output: std::io::Result<Output>) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("cannot run: {error}")),
    }
}

fn try_run(line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    done(Command::new(words.next().unwrap_or_default()).args(words).output())
}

/// Waits until the kernel, which sees to cables when it comes to that, shows a device in a state.
fn await_state(show: &str, state: &str) {
    let (mut words, deadline) = (show.split(' '), Instant::now() + DEADLINE);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    while !String::from_utf8_lossy(&command.output().unwrap().stdout).contains(state) {
        assert!(Instant::now() < deadline, "{show} never shows {state}");
    }
}

fn run(line: &str) {
    try_run(line).unwrap_or_else(|error| panic!("{line}: {error}"));
}

/// The bridge that joins the hosts.
pub(crate) struct Network {
    hosts: u8,
}

impl Network {
    fn new() -> Self {
        // Groups go to everybody: that is what a bridge without a router among its ports does best.
        run("ip link add name br0 type bridge mcast_snooping 0");
        run("ip link set br0 up");
        Self { hosts: 0 }
    }

    pub(crate) fn host(&mut self) -> Host {
        self.hosts += 1;
        let (number, here) = (self.hosts, std::process::id());
        let space = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            run(&format!("ip link add name eth0 type veth peer name port{number} netns {here}"));
            run(&format!("ip addr add 10.0.0.{number}/24 dev eth0"));
            run("ip link set lo up");
            run("ip link set eth0 up");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        let space = Arc::new(space.join().unwrap());
        run(&format!("ip link set port{number} master br0"));
        run(&format!("ip link set port{number} up"));
        await_state(&format!("bridge link show dev port{number}"), "state forwarding");
        let within = Arc::clone(&space);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .on_thread_start(move || setns(&*within, CloneFlags::CLONE_NEWNET).unwrap())
            .build()
            .unwrap();
        let host = Host { address: format!("10.0.0.{number}"), space, runtime };
        host.within(|| await_state("ip link show eth0", "state UP"));
        host
    }
}

pub(crate) struct Host {
    pub(crate) address: String,
    space: Arc<File>,
    runtime: Runtime,
}

impl Host {
    /// Does something on this host.
    #[track_caller]
    pub(crate) fn does<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.begins(work)()
    }

    /// Begins something on this host. What it returns waits for the end.
    #[track_caller]
    pub(crate) fn begins<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl FnOnce() -> T {
        let place = std::panic::Location::caller();
        let work = self.runtime.spawn(async move { timeout(DEADLINE, work).await });
        let handle = self.runtime.handle().clone();
        move || handle.block_on(work).unwrap().unwrap_or_else(|_| panic!("still waiting at {place}"))
    }

    /// Pulls the plug, or puts it in again.
    pub(crate) fn plug(&self, is_in: bool) {
        self.try_run(if is_in { "ip link set eth0 up" } else { "ip link set eth0 down" }).unwrap();
    }

    /// Gets another address, in place of the one it had.
    pub(crate) fn moves(&mut self) {
        let (before, after) = (self.address.clone(), self.address.replace("10.0.0.", "10.0.0.10"));
        self.try_run(&format!("ip addr del {before}/24 dev eth0")).unwrap();
        self.try_run(&format!("ip addr add {after}/24 dev eth0")).unwrap();
        self.address = after;
    }

    /// Loses so many percent of what arrives. Not every kernel can do that.
    pub(crate) fn loses(&self, percent: u32) -> Result<(), String> {
        self.try_run(&format!("tc qdisc add dev eth0 root netem loss {percent}%")).or_else(|netem| {
            let lines = [
                "nft add table ip loss".to_owned(),
                "nft add chain ip loss in { type filter hook input priority 0 ; }".to_owned(),
                format!("nft add rule ip loss in numgen random mod 100 < {percent} drop"),
            ];
            lines.iter().try_for_each(|line| self.try_run(line)).map_err(|nft| format!("{netem}, {nft}"))
        })
    }

    fn try_run(&self, line: &str) -> Result<(), String> {
        self.within(|| try_run(line))
    }

    /// On a thread that is of this host.
    fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let work = || {
                setns(&*self.space, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            };
            scope.spawn(work).join().unwrap()
        })
    }
}
