//! PUB and SUB: nobody hears what it did not subscribe to, or hears it twice or out of order; and subscriptions are
//! there again after every lost link.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use zocket::{Event, HighWater, Message, Pub, Sub};

use super::{World, for_each_seed, message, read, reconnect};

const TOPICS: [&str; 6] = ["", "a", "ab", "abc", "b", "ba"];
const LAST: usize = 999_999;

fn published(topic: &str, number: usize) -> Message {
    let mut published = message(0, number);
    published.push_front(topic.to_owned());
    published
}

/// Hears until the socket is closed. Counts in `done` who has heard the last message, which is repeated for as long
/// as that takes. Returns how many came before it.
async fn hear(
    world: &RefCell<World>,
    sub: &Sub,
    wanted: &[&str],
    mark: HighWater,
    done: &Cell<usize>,
) -> usize {
    let (mut heard, mut last, mut is_done) = (0, HashMap::new(), false);
    let slow = world.borrow_mut().random.bool();
    loop {
        let Ok((pipe, mut received)) = sub.recv_from().await else { return heard };
        let topic = received.pop_front().unwrap();
        let topic = std::str::from_utf8(&topic).unwrap();
        let (_, number) = read(&received);
        assert!(wanted.iter().any(|prefix| topic.starts_with(prefix)), "{topic} was not subscribed to");
        if number == LAST {
            done.set(done.get() + usize::from(!is_done));
            is_done = true;
            continue;
        }
        let before = last.insert(pipe, number);
        assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
        assert!(sub.peers().iter().all(|peer| peer.receive_queue <= mark.max_messages()));
        heard += 1;
        if slow {
            sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn publish(world: &RefCell<World>, publisher: &Pub, mark: HighWater) -> Vec<&'static str> {
    let mut topics = Vec::new();
    let count = world.borrow_mut().random.usize(50..300);
    for number in 0..count {
        let (topic, pause) = {
            let random = &mut world.borrow_mut().random;
            (TOPICS[random.usize(..TOPICS.len())], random.u64(..40))
        };
        publisher.send(published(topic, number)).await.unwrap();
        topics.push(topic);
        assert!(publisher.peers().iter().all(|peer| peer.send_queue <= mark.max_messages()));
        if pause < 10 {
            sleep(Duration::from_millis(pause)).await;
        }
    }
    topics
}

async fn scenario(world: World) {
    let world = RefCell::new(world);
    let (count, pub_binds, mark, no_drop) = {
        let mut world = world.borrow_mut();
        (world.random.usize(1..5), world.random.bool(), world.mark(), world.random.u8(..4) == 0)
    };
    let context = world.borrow().context.clone();
    let publisher = Pub::builder()
        .context(&context)
        .send_high_water(mark)
        .no_drop(no_drop)
        .reconnect(reconnect())
        .build();
    let mut events = publisher.monitor();
    let mut subs = Vec::new();
    for n in 0..count {
        let sub = Sub::builder().context(&context).receive_high_water(mark).reconnect(reconnect()).build();
        let at = format!("sim://{n}");
        let wanted = {
            let random = &mut world.borrow_mut().random;
            random.choose_multiple(TOPICS, random.clone().usize(1..4))
        };
        wanted.iter().for_each(|topic| sub.subscribe(topic).unwrap());
        if pub_binds {
            publisher.bind(&*at).await.unwrap();
            sub.connect(&*at).unwrap();
        } else {
            sub.bind(&*at).await.unwrap();
            publisher.connect(&*at).unwrap();
        }
        subs.push((sub, wanted));
    }
    // Time for the first subscriptions to arrive; who comes later misses the start.
    sleep(Duration::from_secs(10)).await;
    let done = Cell::new(0);
    let hearing = join_all(subs.iter().map(|(sub, wanted)| hear(&world, sub, wanted, mark, &done)));
    let publishing = async {
        let topics = publish(&world, &publisher, mark).await;
        let was_calm = world.borrow().is_calm();
        let reported = drops(&mut events).await;
        let missed: u64 = publisher.peers().iter().map(|peer| peer.dropped).sum();
        assert!(no_drop || !was_calm || reported <= missed, "{reported} reported, {missed} counted");
        world.borrow().net.heal();
        (topics, was_calm, missed)
    };
    let repeating = async {
        let outcome = publishing.await;
        while done.get() < count {
            for topic in TOPICS {
                publisher.send(published(topic, LAST)).await.unwrap();
            }
            sleep(Duration::from_millis(100)).await;
        }
        publisher.close().await;
        join_all(subs.iter().map(|(sub, _)| sub.close())).await;
        outcome
    };
    let ((topics, was_calm, missed), heard) = tokio::join!(repeating, hearing);
    let wanted =
        |prefixes: &[&str]| topics.iter().filter(|t| prefixes.iter().any(|p| t.starts_with(p))).count();
    let all: usize = subs.iter().map(|(_, prefixes)| wanted(prefixes)).sum();
    let heard: usize = heard.iter().sum();
    assert!(heard <= all);
    if was_calm && missed == 0 && world.borrow().is_calm() {
        assert_eq!(heard, all, "nothing was dropped, and no link was lost");
    }
}

/// How many messages were reported as dropped so far.
async fn drops(events: &mut zocket::Monitor) -> u64 {
    let mut messages = 0;
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        if let Event::Dropped { messages: more, .. } = event {
            messages += more;
        }
    }
    messages
}

#[test]
fn subscribers_hear_what_they_asked_for_again_after_every_lost_link() {
    for_each_seed(scenario);
}
