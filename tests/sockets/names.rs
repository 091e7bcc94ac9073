//! ROUTER's names, and PAIR's only peer.

use zocket::{ConnectError, Dealer, Disconnect, Event, Pair, Req, Router, SendError, TrySendError};

use crate::stage::{
    Order, Place, Puppet, SCHEMES, Scheme, Staged, WIRES, disconnected, event, join, meet, meet_tcp, ready,
    soon, until, ways,
};

fn named(name: &str) -> Dealer {
    Dealer::set_up().routing_id(name.to_owned()).build()
}

#[tokio::test]
async fn a_peer_without_a_name_gets_one_of_five_bytes_that_starts_with_zero() {
    for way in ways() {
        let (router, one, two) = (Router::staged(), Dealer::staged(), Dealer::staged());
        let place = meet(&router, &one, way).await;
        join(&router, &two, &place.endpoint).await;
        let mut names = Vec::new();
        for dealer in [&one, &two] {
            soon(dealer.send("hello")).await.unwrap();
            let got = soon(router.recv()).await.unwrap();
            assert_eq!((got.first().len(), got.first()[0]), (5, 0), "{way:?}");
            names.push(got.first().clone());
        }
        assert_ne!(names[0], names[1]);
        for (name, dealer) in names.into_iter().zip([&one, &two]) {
            soon(router.send([name.clone(), "answer".into()])).await.unwrap();
            assert_eq!(soon(dealer.recv()).await.unwrap(), "answer");
        }
    }
}

#[tokio::test]
async fn names_may_be_as_long_as_255_bytes_and_longer_ones_are_cut() {
    for scheme in SCHEMES {
        let router = Router::staged();
        let dealer = Dealer::set_up().routing_id(vec![b'x'; 300]).build();
        let _place = meet(&router, &dealer, (scheme, Order::BindFirst)).await;
        soon(dealer.send("m")).await.unwrap();
        assert_eq!(*soon(router.recv()).await.unwrap().first(), [b'x'; 255], "{scheme:?}");
    }
}

#[tokio::test]
async fn a_mandatory_router_gives_back_what_names_nobody_and_another_drops_it() {
    let router = Router::staged();
    let message = || zocket::Message::from(["nobody", "x"]);
    assert_eq!(router.send(message()).await, Err(SendError::Unroutable(message().into())));
    assert_eq!(router.try_send(message()), Err(TrySendError::Unroutable(message().into())));
    assert_eq!(router.try_send("only a name"), Err(TrySendError::Unroutable(Box::new("only a name".into()))));
    let lenient = Router::set_up().mandatory(false).build();
    lenient.send(message()).await.unwrap();
    lenient.try_send(message()).unwrap();
}

#[tokio::test]
async fn a_name_is_free_again_when_its_peer_has_gone() {
    for scheme in SCHEMES {
        let (router, dealer) = (Router::staged(), named("me"));
        let place = meet(&router, &dealer, (scheme, Order::BindFirst)).await;
        soon(router.send(["me", "x"])).await.unwrap();
        dealer.close().await;
        until(|| router.peers().is_empty()).await;
        assert!(matches!(soon(router.send(["me", "x"])).await, Err(SendError::Unroutable(_))));
        let next = named("me");
        join(&router, &next, &place.endpoint).await;
        soon(router.send(["me", "y"])).await.unwrap();
        assert_eq!(soon(next.recv()).await.unwrap(), "y", "{scheme:?}");
    }
}

#[tokio::test]
async fn a_newcomer_with_a_name_in_use_is_muted_and_gets_through_when_the_first_leaves() {
    for scheme in SCHEMES {
        let (router, first, second) = (Router::staged(), named("me"), named("me"));
        let place = meet(&router, &first, (scheme, Order::BindFirst)).await;
        let mut events = router.monitor();
        second.connect(&place.endpoint).unwrap();
        let muted = event(&mut events, |event| match event {
            Event::Muted { routing_id, .. } => Some(routing_id),
            _ => None,
        })
        .await;
        assert_eq!(muted, "me");
        soon(second.send("from the second")).await.unwrap();
        soon(first.send("from the first")).await.unwrap();
        assert_eq!(soon(router.recv()).await.unwrap(), ["me", "from the first"], "{scheme:?}");
        soon(router.send(["me", "to the first"])).await.unwrap();
        assert_eq!(soon(first.recv()).await.unwrap(), "to the first");
        assert!(router.try_recv().is_err(), "{scheme:?}: the second is not heard");
        first.close().await;
        assert_eq!(soon(router.recv()).await.unwrap(), ["me", "from the second"], "{scheme:?}");
        soon(router.send(["me", "to the second"])).await.unwrap();
        assert_eq!(soon(second.recv()).await.unwrap(), "to the second");
    }
}

#[tokio::test]
async fn with_handover_the_newcomer_takes_the_name_and_the_old_connection_ends() {
    for scheme in SCHEMES {
        let router = Router::set_up().handover(true).build();
        let (first, second) =
            (Dealer::set_up().routing_id("me").reconnect(zocket::Reconnect::never()).build(), named("me"));
        let place = meet(&router, &first, (scheme, Order::BindFirst)).await;
        let mut events = router.monitor();
        join(&router, &second, &place.endpoint).await;
        soon(router.send(["me", "x"])).await.unwrap();
        assert_eq!(soon(second.recv()).await.unwrap(), "x", "{scheme:?}");
        assert!(first.try_recv().is_err());
        if scheme != Scheme::Inproc {
            let reason = disconnected(&mut events).await;
            assert!(matches!(reason, Disconnect::HandedOver), "{scheme:?}: {reason:?}");
        }
        until(|| router.peers().len() == 1).await;
    }
}

#[tokio::test]
async fn an_application_names_a_peer_by_connect_as() {
    for scheme in SCHEMES {
        let (router, dealer) = (Router::staged(), named("calls itself so"));
        let place = Place::new(scheme);
        router.connect_as("mine", &place.endpoint).unwrap();
        soon(router.send(["mine", "before it is there"])).await.unwrap();
        dealer.bind(&place.endpoint).await.unwrap();
        assert_eq!(soon(dealer.recv()).await.unwrap(), "before it is there", "{scheme:?}");
        soon(dealer.send("m")).await.unwrap();
        assert_eq!(soon(router.recv()).await.unwrap(), ["mine", "m"]);
        let again = router.connect_as("mine", "tcp://127.0.0.1:9");
        assert!(matches!(again, Err(ConnectError::NameTaken(name)) if name == "mine"), "{scheme:?}");
        assert_eq!(router.peers().len(), 1, "nothing is left of it");
    }
}

#[tokio::test]
async fn a_probe_tells_a_router_of_a_peer_at_once() {
    for way in ways() {
        let router = Router::staged();
        let dealer = Dealer::set_up().routing_id("me").probe(true).build();
        let _place = meet(&router, &dealer, way).await;
        assert_eq!(soon(router.recv()).await.unwrap(), ["me", ""], "{way:?}");
        soon(router.send(["me", "welcome"])).await.unwrap();
        assert_eq!(soon(dealer.recv()).await.unwrap(), "welcome");
    }
}

#[tokio::test]
async fn a_made_up_name_survives_a_reconnect_of_a_dialled_peer() {
    let puppet = Puppet::new().await;
    let router = Router::set_up().reconnect(crate::reconnect::quickly()).build();
    router.connect(&puppet.endpoint).unwrap();
    let mut names = Vec::new();
    for _ in 0..2 {
        let mut stream = puppet.accept("DEALER").await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, &[0, 1, b'm']).await.unwrap();
        names.push(soon(router.recv()).await.unwrap().first().clone());
    }
    assert_eq!(names[0], names[1]);
}

#[tokio::test]
async fn messages_that_arrived_under_a_name_are_read_under_it_after_the_peer_left() {
    for scheme in SCHEMES {
        let (router, dealer) = (Router::staged(), named("gone"));
        let _place = meet(&router, &dealer, (scheme, Order::BindFirst)).await;
        for n in 0..10 {
            soon(dealer.send(format!("{n}"))).await.unwrap();
        }
        assert_eq!(soon(dealer.close()).await.messages, 0);
        until(|| router.peers().is_empty()).await;
        for n in 0..10 {
            assert_eq!(soon(router.recv()).await.unwrap(), ["gone", &format!("{n}")], "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn a_req_has_a_name_too() {
    let (router, req) = (Router::staged(), Req::set_up().routing_id("asker").build());
    let _place = meet_tcp(&router, &req).await;
    let answering = async {
        let request = router.recv().await.unwrap();
        assert_eq!(request, ["asker", "", "?"]);
        router.send(request).await.unwrap();
    };
    soon(async { tokio::join!(req.request("?"), answering) }).await.0.unwrap();
}

#[tokio::test]
async fn a_pair_refuses_a_second_peer_until_the_first_has_gone() {
    for scheme in WIRES {
        let (pair, first) = (Pair::staged(), Pair::staged());
        let second = Pair::set_up().reconnect(crate::reconnect::quickly()).build();
        let place = meet(&pair, &first, (scheme, Order::BindFirst)).await;
        let mut events = pair.monitor();
        second.connect(&place.endpoint).unwrap();
        let reason = event(&mut events, |event| match event {
            Event::HandshakeFailed { reason, .. } => Some(reason),
            _ => None,
        })
        .await;
        assert!(matches!(reason, Disconnect::Refused), "{scheme:?}: {reason:?}");
        soon(first.send("undisturbed")).await.unwrap();
        assert_eq!(soon(pair.recv()).await.unwrap(), "undisturbed");
        first.close().await;
        ready(&mut events).await;
        soon(pair.send("for the second")).await.unwrap();
        assert_eq!(soon(second.recv()).await.unwrap(), "for the second", "{scheme:?}");
    }
}

#[tokio::test]
async fn an_inproc_pair_refuses_a_second_peer_at_once() {
    let (pair, first, second) = (Pair::staged(), Pair::staged(), Pair::staged());
    let place = meet(&pair, &first, (Scheme::Inproc, Order::BindFirst)).await;
    second.connect(&place.endpoint).unwrap();
    let refused = soon(second.connected(&place.endpoint)).await;
    assert!(matches!(&refused, Err(ConnectError::GaveUp { reason: Disconnect::Refused, .. })), "{refused:?}");
    soon(first.send("undisturbed")).await.unwrap();
    assert_eq!(soon(pair.recv()).await.unwrap(), "undisturbed");
}
