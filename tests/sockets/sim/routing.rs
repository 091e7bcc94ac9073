//! DEALER and ROUTER: what a ROUTER answers reaches the peer that is named, in order and once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use zocket::{Dealer, HighWater, Router, SendError};

use super::{HOUR, World, for_each_seed, message, read, reconnect};

/// Sends everything back to where it came from. Returns how much could not be.
async fn echo(world: &RefCell<World>, router: &Router) -> usize {
    let mut unroutable = 0;
    let mut last = HashMap::new();
    while let Ok((pipe, mut received)) = router.recv_from().await {
        let name = received.pop_front().unwrap();
        let (who, number) = read(&received);
        assert_eq!(name, format!("dealer {who}"), "it came from another");
        let before = last.insert((pipe, who), number);
        assert!(before.is_none_or(|before| before < number), "{who} {number} came after {before:?}");
        received.push_front(name);
        let patience = if world.borrow_mut().random.u8(..10) == 0 { Duration::from_millis(5) } else { HOUR };
        match timeout(patience, router.send(received)).await {
            Ok(Ok(())) => {}
            Ok(Err(SendError::Unroutable(_))) => {
                assert!(!world.borrow().is_calm(), "the peer was there");
                unroutable += 1;
            }
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => {
                assert!(patience < HOUR, "a send never ends");
                unroutable += 1;
            }
        }
    }
    unroutable
}

/// Receives until nothing has come for long: longer than heartbeats take to notice a link that died unseen.
async fn receive(world: &RefCell<World>, dealer: &Dealer, who: usize, mark: HighWater) -> usize {
    let (mut received, mut last) = (HashSet::new(), None);
    let slow = world.borrow_mut().random.bool();
    while let Ok(answer) = timeout(HOUR / 12, dealer.recv()).await {
        let (to, number) = read(&answer.unwrap());
        assert_eq!(to, who, "the answer to another");
        assert!(received.insert(number), "{number} came twice");
        // After a lost link the ROUTER reads what came before and what comes now in turn, and so it answers.
        let in_order = last.is_none_or(|last| last < number) || !world.borrow().is_calm();
        assert!(in_order, "{number} came after {last:?}");
        last = Some(number);
        if slow {
            sleep(Duration::from_millis(3)).await;
        }
        assert!(dealer.peers().iter().all(|peer| peer.receive_queue <= mark.max_messages()));
    }
    received.len()
}

async fn scenario(world: World) {
    let world = RefCell::new(world);
    let (dealers, router_binds, mark, handover) = {
        let mut world = world.borrow_mut();
        (world.random.usize(1..5), world.random.bool(), world.mark(), world.random.bool())
    };
    let context = world.borrow().context.clone();
    let router = Router::builder()
        .context(&context)
        .send_high_water(mark)
        .receive_high_water(mark)
        .handover(handover)
        .reconnect(reconnect())
        .build();
    let dealers: Vec<_> = (0..dealers)
        .map(|who| {
            Dealer::builder()
                .context(&context)
                .routing_id(format!("dealer {who}").into_bytes())
                .send_high_water(mark)
                .receive_high_water(mark)
                .reconnect(reconnect())
                .build()
        })
        .collect();
    for (n, dealer) in dealers.iter().enumerate() {
        let at = format!("sim://{n}");
        if router_binds {
            router.bind(&*at).await.unwrap();
            dealer.connect(&*at).unwrap();
        } else {
            dealer.bind(&*at).await.unwrap();
            router.connect(&*at).unwrap();
        }
    }
    let work = async {
        let all = dealers.iter().enumerate().map(async |(who, dealer)| {
            let count = world.borrow_mut().random.usize(20..150);
            let sending = async {
                for number in 0..count {
                    dealer.send(message(who, number)).await.unwrap();
                    assert!(dealer.peers().iter().all(|peer| peer.send_queue <= mark.max_messages()));
                }
            };
            let ((), received) = tokio::join!(sending, receive(&world, dealer, who, mark));
            (count, received)
        });
        let counts = join_all(all).await;
        join_all(dealers.iter().map(Dealer::close)).await;
        router.close().await;
        counts
    };
    let (counts, unroutable) = tokio::join!(work, echo(&world, &router));
    let (sent, received) = counts.iter().fold((0, 0), |(s, r), (sent, received)| (s + sent, r + received));
    if world.borrow().is_calm() {
        assert_eq!(sent, received + unroutable, "no link was lost");
    }
    assert!(received <= sent);
}

#[test]
fn a_router_answers_whom_it_names_in_order_and_once() {
    for_each_seed(scenario);
}
