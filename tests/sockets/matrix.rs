//! Who talks to whom: every pair of socket types, over every transport, whoever starts first and whichever of the two
//! binds, with messages of one frame and of many.
//!
//! The table is at the end. A row has the two sockets and how they talk.

use zocket::{
    Dealer, Dish, Message, Pair, Pattern, Pub, Pull, Push, Radio, Receives, Rep, Req, Router, Sends, Socket,
    Sub, XPub, XSub,
};

use crate::stage::{Order, Scheme, Staged, meet, soon, until, ways};

/// A datagram takes no more.
const LARGE: usize = 60_000;

fn of_one_frame() -> Vec<Message> {
    vec!["one".into(), "".into(), vec![7; 300].into(), vec![8; LARGE].into()]
}

/// With empty ones where they hurt.
fn of_many_frames() -> Vec<Message> {
    vec![["a", "b", "c"].into(), ["", "", ""].into(), [vec![7; 300], vec![], vec![8; LARGE]].into()]
}

fn of_either() -> Vec<Message> {
    [of_one_frame(), of_many_frames()].concat()
}

/// Every transport, either side starting first.
fn everything() -> impl Iterator<Item = (Scheme, Order)> {
    ways().chain([Order::BindFirst, Order::ConnectFirst].map(|order| (Scheme::Udp, order)))
}

/// Goes through the transports, the orders of start, and who binds. Hands each pair on when it is connected.
async fn each_way<A: Pattern, B: Pattern>(
    sockets: impl Fn() -> (Socket<A>, Socket<B>),
    over: impl Iterator<Item = (Scheme, Order)>,
    talk: impl AsyncFn(&Socket<A>, &Socket<B>),
) {
    for way in over {
        for left_binds in [true, false] {
            println!("{way:?}, the left one binds: {left_binds}");
            let (left, right) = sockets();
            let _place =
                if left_binds { meet(&left, &right, way).await } else { meet(&right, &left, way).await };
            talk(&left, &right).await;
        }
    }
}

async fn carries<A: Sends, B: Receives>(from: &Socket<A>, to: &Socket<B>) {
    for message in of_either() {
        soon(from.send(message.clone())).await.unwrap();
        assert_eq!(soon(to.recv()).await.unwrap(), message);
    }
}

async fn carries_both_ways<A: Sends + Receives>(left: &Socket<A>, right: &Socket<A>) {
    carries(left, right).await;
    carries(right, left).await;
}

async fn is_answered_by_name(dealer: &Dealer, router: &Router) {
    for message in of_either() {
        soon(dealer.send(message.clone())).await.unwrap();
        let mut got = soon(router.recv()).await.unwrap();
        soon(router.send(got.clone())).await.unwrap();
        got.pop_front().unwrap();
        assert_eq!(got, message);
        assert_eq!(soon(dealer.recv()).await.unwrap(), message);
    }
}

/// The two are called `left` and `right`.
async fn knows_the_name(left: &Router, right: &Router) {
    for message in of_either() {
        for (from, name, to, other) in [(left, "left", right, "right"), (right, "right", left, "left")] {
            let mut named = message.clone();
            named.push_front(other);
            soon(from.send(named)).await.unwrap();
            let mut got = soon(to.recv()).await.unwrap();
            assert_eq!(got.pop_front().unwrap(), name);
            assert_eq!(got, message);
        }
    }
}

async fn makes_the_envelope(dealer: &Dealer, rep: &Rep) {
    for message in of_either() {
        let mut enveloped = message.clone();
        enveloped.push_front("");
        soon(dealer.send(enveloped.clone())).await.unwrap();
        let request = soon(rep.recv()).await.unwrap();
        assert_eq!(*request.message(), message);
        soon(request.reply(message)).await.unwrap();
        assert_eq!(soon(dealer.recv()).await.unwrap(), enveloped);
    }
}

async fn asks(req: &Req, rep: &Rep) {
    for message in of_either() {
        let answering = async {
            let request = rep.recv().await.unwrap();
            assert_eq!(*request.message(), message);
            request.reply(message.clone()).await.unwrap();
        };
        let (reply, ()) = soon(async { tokio::join!(req.request(message.clone()), answering) }).await;
        assert_eq!(reply.unwrap(), message);
    }
}

async fn asks_with_an_envelope(req: &Req, router: &Router) {
    for message in of_either() {
        let answering = async {
            let request = router.recv().await.unwrap();
            assert_eq!(request.frames()[1], "", "the delimiter");
            assert_eq!(request.frames()[2..], *message.frames());
            router.send(request).await.unwrap();
        };
        let (reply, ()) = soon(async { tokio::join!(req.request(message.clone()), answering) }).await;
        assert_eq!(reply.unwrap(), message);
    }
}

/// To one who has subscribed to everything. A PUB says nothing of its subscriptions: the first message that gets
/// through does.
async fn publishes<A: Sends, B: Receives>(publisher: &Socket<A>, subscriber: &Socket<B>) {
    soon(async {
        while subscriber.try_recv().is_err() {
            publisher.send("knock").await.unwrap();
            tokio::task::yield_now().await;
        }
        // Whatever knocked besides arrives before this.
        publisher.send("come in").await.unwrap();
        while subscriber.recv().await.unwrap() != "come in" {}
    })
    .await;
    carries(publisher, subscriber).await;
}

async fn publishes_and_listens(publisher: &XPub, subscriber: &XSub) {
    publishes(publisher, subscriber).await;
    assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}");
    carries(subscriber, publisher).await;
}

/// Its messages have one frame always.
async fn calls(radio: &Radio, dish: &Dish) {
    dish.join("group").unwrap();
    until(|| radio.groups() == 1).await;
    for message in of_one_frame() {
        soon(radio.send("group", message.clone())).await.unwrap();
        let (group, got) = soon(dish.recv()).await.unwrap();
        assert_eq!((&*group, got), (&b"group"[..], message));
    }
}

fn sub() -> Sub {
    let sub = Sub::staged();
    sub.subscribe("").unwrap();
    sub
}

fn xsub() -> XSub {
    let xsub = XSub::staged();
    xsub.subscribe("").unwrap();
    xsub
}

fn router(name: &'static str) -> Router {
    Router::set_up().routing_id(name).build()
}

/// A test for each row: its name, the left and the right socket, over what and how they talk.
macro_rules! matrix {
    ($($name:ident: $left:expr, $right:expr, $over:expr, $talk:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            each_way(|| ($left, $right), $over(), $talk).await;
        }
    )*};
}

matrix! {
    push_talks_to_pull: Push::staged(), Pull::staged(), everything, carries;
    pub_talks_to_sub: Pub::staged(), sub(), everything, publishes;
    pub_talks_to_xsub: Pub::staged(), xsub(), everything, publishes;
    xpub_talks_to_sub: XPub::staged(), sub(), everything, publishes;
    xpub_talks_to_xsub: XPub::staged(), xsub(), everything, publishes_and_listens;
    req_talks_to_rep: Req::staged(), Rep::staged(), everything, asks;
    req_talks_to_router: Req::staged(), Router::staged(), everything, asks_with_an_envelope;
    dealer_talks_to_rep: Dealer::staged(), Rep::staged(), everything, makes_the_envelope;
    dealer_talks_to_dealer: Dealer::staged(), Dealer::staged(), everything, carries_both_ways;
    dealer_talks_to_router: Dealer::staged(), Router::staged(), everything, is_answered_by_name;
    router_talks_to_router: router("left"), router("right"), everything, knows_the_name;
    pair_talks_to_pair: Pair::staged(), Pair::staged(), everything, carries_both_ways;
    // Over udp they have no links.
    radio_talks_to_dish: Radio::staged(), Dish::staged(), ways, calls;
}
