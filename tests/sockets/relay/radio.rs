//! RADIO and DISH over the relay: they have libzmq's datagrams, which have no numbers. What the network does is seen,
//! and nothing else happens.

use bad_network::{Relay, Weather};
use zocket::{Dish, Radio};

use crate::stage::{Staged, number_of, numbered, soon, until};

#[tokio::test]
async fn a_dish_gets_every_datagram_that_passes_whole_and_as_often() {
    const COUNT: u32 = 1000;
    for percent in [0, 10, 30] {
        let (radio, dish) = (Radio::staged(), Dish::staged());
        let at = soon(dish.bind("udp://127.0.0.1:0")).await.unwrap();
        dish.join("group").unwrap();
        let relay = Relay::new(&at, Weather::of(percent, 1)).await;
        let front = relay.endpoint("udp");
        radio.connect(&front).unwrap();
        soon(radio.connected(&front)).await.unwrap();
        let (mut received, mut numbers) = (0, Vec::new());
        for number in 0..COUNT {
            soon(radio.send("group", numbered(number, 100))).await.unwrap();
            // No more under way than the kernel keeps.
            if number % 50 == 49 {
                until(|| relay.to_server.arrived.get() == u64::from(number) + 1).await;
                while received < relay.to_server.passed() {
                    let (group, message) = soon(dish.recv()).await.unwrap();
                    numbers.push(number_of(&message));
                    assert_eq!((&*group, message.last().len()), (&b"group"[..], 100));
                    received += 1;
                }
            }
        }
        assert!(dish.try_recv().is_err());
        let in_order = numbers.is_sorted();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len() as u64 + relay.lost(), u64::from(COUNT));
        assert_eq!((in_order, relay.lost() == 0), (percent == 0, percent == 0));
    }
}

#[tokio::test]
async fn a_dish_outlives_random_datagrams() {
    let dish = Dish::staged();
    let at = soon(dish.bind("udp://127.0.0.1:0")).await.unwrap();
    dish.join("group").unwrap();
    let (mut random, stranger) =
        (fastrand::Rng::with_seed(1), tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
    for _ in 0..2000 {
        let most = 1 << random.u32(..12);
        let length = random.usize(..most);
        let datagram: Vec<_> = (0..length).map(|_| random.u8(..)).collect();
        stranger.send_to(&datagram, at.address()).await.unwrap();
    }
    // The kernel may have lost some of them, and some of these.
    let heard = soon(async {
        loop {
            stranger.send_to(b"\x05groupstill here", at.address()).await.unwrap();
            tokio::task::yield_now().await;
            if let Ok((group, message)) = dish.try_recv()
                && &*group == b"group"
            {
                return message;
            }
        }
    });
    assert_eq!(heard.await, "still here");
}
