//! PUSH and PULL: every message is accounted for. What was sent is received once, or was swallowed by a link that was
//! cut, or was dropped with a peer that had been accepted, which is reported; nothing else is missing.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use zocket::{Context, Event, Heartbeat, HighWater, Monitor, PipeId, Pull, Push};

use super::net::Net;
use super::{HOUR, World, for_each_seed, message, read, reconnect};

/// What became of the messages.
#[derive(Default)]
struct Ledger {
    sent: HashSet<(usize, usize)>,
    received: HashSet<(usize, usize)>,
    last: HashMap<(usize, PipeId, usize), usize>,
}

async fn send_all(
    world: &RefCell<World>,
    ledger: &RefCell<Ledger>,
    push: &Push,
    who: usize,
    mark: HighWater,
) {
    let count = world.borrow_mut().random.usize(20..150);
    for number in 0..count {
        let patience = {
            let random = &mut world.borrow_mut().random;
            if random.u8(..4) == 0 { Duration::from_millis(random.u64(..100)) } else { HOUR }
        };
        match timeout(patience, push.send(message(who, number))).await {
            Ok(sent) => {
                sent.unwrap();
                ledger.borrow_mut().sent.insert((who, number));
            }
            Err(_) => assert!(patience < HOUR, "a send never ends"),
        }
        for peer in push.peers() {
            assert!(peer.send_queue <= mark.max_messages(), "{} waiting, above {mark:?}", peer.send_queue);
        }
    }
}

async fn receive_all(
    world: &RefCell<World>,
    ledger: &RefCell<Ledger>,
    pull: &Pull,
    who: usize,
    mark: HighWater,
) {
    let slow = world.borrow_mut().random.bool();
    loop {
        let patience = Duration::from_millis(if world.borrow_mut().random.bool() { 1 } else { 1000 });
        match timeout(patience, pull.recv_from()).await {
            Ok(Ok((pipe, received))) => {
                let (sender, number) = read(&received);
                let ledger = &mut *ledger.borrow_mut();
                assert!(ledger.received.insert((sender, number)), "{sender} {number} came twice");
                let last = ledger.last.insert((who, pipe, sender), number);
                assert!(last.is_none_or(|last| last < number), "{sender} {number} came after {last:?}");
            }
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        for peer in pull.peers() {
            assert!(
                peer.receive_queue <= mark.max_messages(),
                "{} waiting, above {mark:?}",
                peer.receive_queue
            );
        }
        if slow {
            let pause = world.borrow_mut().random.u64(..20);
            sleep(Duration::from_millis(pause)).await;
        }
    }
}

/// How the sockets of a run are laid out.
struct Plan {
    pushers: usize,
    pullers: usize,
    push_binds: bool,
    push_mark: HighWater,
    pull_mark: HighWater,
}

impl Plan {
    fn draw(world: &mut World) -> Self {
        let [pushers, pullers] = [(); 2].map(|()| world.random.usize(1..4));
        Self {
            pushers,
            pullers,
            push_binds: world.random.bool(),
            push_mark: world.mark(),
            pull_mark: world.mark(),
        }
    }

    /// Every PUSH with every PULL. Without heartbeats nothing but messages is written, so that what a link has
    /// swallowed is exact.
    async fn build(&self, context: &Context) -> (Vec<Push>, Vec<Pull>) {
        let push =
            || Push::builder().send_high_water(self.push_mark).linger(HOUR).heartbeat(Heartbeat::off());
        let pull = || Pull::builder().receive_high_water(self.pull_mark).heartbeat(Heartbeat::off());
        let pushes: Vec<_> =
            (0..self.pushers).map(|_| push().context(context).reconnect(reconnect()).build()).collect();
        let pulls: Vec<_> =
            (0..self.pullers).map(|_| pull().context(context).reconnect(reconnect()).build()).collect();
        for (n, push) in pushes.iter().enumerate() {
            for (m, pull) in pulls.iter().enumerate() {
                let at = format!("sim://{n}-{m}");
                if self.push_binds {
                    push.bind(&*at).await.unwrap();
                    pull.connect(&*at).unwrap();
                } else {
                    push.connect(&*at).unwrap();
                    pull.bind(&*at).await.unwrap();
                }
            }
        }
        (pushes, pulls)
    }
}

/// How many messages a socket reports as dropped until it is closed.
async fn count_drops(mut monitor: Monitor) -> u64 {
    let mut dropped = 0;
    while let Some(event) = monitor.next().await {
        match event {
            Event::Dropped { messages, .. } => dropped += messages,
            Event::Lagged { missed } => panic!("{missed} events missed"),
            _ => {}
        }
    }
    dropped
}

async fn scenario(mut world: World) {
    let plan = Plan::draw(&mut world);
    let (pushes, pulls) = plan.build(&world.context).await;
    let (world, ledger) = (RefCell::new(world), RefCell::new(Ledger::default()));
    let watching = join_all(pushes.iter().map(|push| count_drops(push.monitor())));
    let sending = pushes.iter().enumerate().map(async |(who, push)| {
        send_all(&world, &ledger, push, who, plan.push_mark).await;
        let unsent = push.close().await.messages;
        // Who was accepted takes what waits for it along, and finds nobody to come back to.
        let excused = plan.push_binds && !world.borrow().is_calm();
        assert!(unsent == 0 || excused, "{unsent} unsent, though linger is long");
    });
    let receiving =
        pulls.iter().enumerate().map(|(who, pull)| receive_all(&world, &ledger, pull, who, plan.pull_mark));
    let ending = async {
        join_all(sending).await;
        // What has arrived can be received after the end.
        for pull in &pulls {
            while pull.peers().iter().any(|peer| peer.info.is_some()) {
                sleep(Duration::from_millis(1)).await;
            }
            pull.close().await;
        }
    };
    let (dropped, (), _) = tokio::join!(watching, ending, join_all(receiving));
    settle(&ledger.into_inner(), &world.into_inner().net, dropped.into_iter().sum(), plan.push_binds);
}

/// What is missing is what dead links swallowed and what was reported, exactly.
fn settle(ledger: &Ledger, net: &Net, dropped: u64, push_binds: bool) {
    let missing: HashSet<_> = ledger.sent.difference(&ledger.received).copied().collect();
    assert!(ledger.received.is_subset(&ledger.sent), "received what was never sent");
    let parse = |first: &Vec<u8>| {
        let (who, number) = std::str::from_utf8(first).unwrap().split_once(' ').unwrap();
        (who.parse().unwrap(), number.parse().unwrap())
    };
    let swallowed: HashSet<(usize, usize)> = net.swallowed().iter().map(parse).collect();
    assert!(swallowed.is_subset(&missing), "swallowed, and received all the same");
    assert_eq!(
        missing.len() as u64,
        swallowed.len() as u64 + dropped,
        "{} sent, {} received, {} swallowed by {} dead links, {dropped} dropped",
        ledger.sent.len(),
        ledger.received.len(),
        swallowed.len(),
        net.cuts(),
    );
    assert!(push_binds || dropped == 0, "a connecting PUSH keeps what it has for the next link");
    assert!(net.cuts() > 0 || missing.is_empty(), "no link was lost");
}

#[test]
fn a_pipeline_accounts_for_every_message() {
    for_each_seed(scenario);
}
