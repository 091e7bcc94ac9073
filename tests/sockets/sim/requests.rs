//! REQ and REP: a reply answers the request it belongs to and no other, whatever is lost, late or given up.

use std::cell::RefCell;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};
use zocket::{Rep, Req, RequestError};

use super::{HOUR, World, for_each_seed, message, read, reconnect};

/// Answers with what was asked, sometimes late, in another order, or not at all.
async fn answer_all(world: &RefCell<World>, rep: &Rep, forgets: bool) {
    let mut open = Vec::new();
    loop {
        let (patience, pause, forget, whom) = {
            let random = &mut world.borrow_mut().random;
            (random.u64(1..50), random.u64(..20), forgets && random.u8(..10) == 0, random.usize(..9))
        };
        match timeout(Duration::from_millis(patience), rep.recv()).await {
            Ok(Ok(request)) if !forget => open.push(request),
            Ok(Err(_)) => return,
            _ => {}
        }
        if pause > 10 {
            sleep(Duration::from_millis(pause)).await;
        }
        if !open.is_empty() && pause % 3 > 0 {
            let mut request = open.swap_remove(whom % open.len());
            let answer = request.take_message();
            // Who asked may have gone.
            request.reply(answer).await.ok();
        }
    }
}

async fn ask_all(world: &RefCell<World>, req: &Req, who: usize, forgets: bool) -> usize {
    let mut answered = 0;
    let count = world.borrow_mut().random.usize(20..60);
    for number in 0..count {
        let patience = match world.borrow_mut().random.u64(..8) {
            // Whoever is not answered may only give up.
            0 => Duration::from_millis(number as u64),
            _ if forgets => Duration::from_secs(10),
            _ => HOUR,
        };
        match timeout(patience, req.request(message(who, number))).await {
            Ok(Ok(reply)) => {
                assert_eq!(read(&reply), (who, number), "the reply to another request");
                answered += 1;
            }
            Ok(Err(RequestError::PeerLost)) => assert!(!world.borrow().is_calm(), "no link was lost"),
            Ok(Err(error)) => panic!("{error}"),
            Err(_) => assert!(patience < HOUR, "a request never ends"),
        }
    }
    answered
}

async fn scenario(world: World) {
    let world = RefCell::new(world);
    let (askers, answerers, forgets, req_binds, correlate) = {
        let random = &mut world.borrow_mut().random;
        (random.usize(1..4), random.usize(1..4), random.bool(), random.bool(), random.bool())
    };
    let context = world.borrow().context.clone();
    let reqs: Vec<_> = (0..askers)
        .map(|_| Req::builder().context(&context).reconnect(reconnect()).correlate(correlate).build())
        .collect();
    let reps: Vec<_> =
        (0..answerers).map(|_| Rep::builder().context(&context).reconnect(reconnect()).build()).collect();
    for (n, req) in reqs.iter().enumerate() {
        for (m, rep) in reps.iter().enumerate() {
            let at = format!("sim://{n}-{m}");
            if req_binds {
                req.bind(&*at).await.unwrap();
                rep.connect(&*at).unwrap();
            } else {
                req.connect(&*at).unwrap();
                rep.bind(&*at).await.unwrap();
            }
        }
    }
    let asking = async {
        let answered =
            join_all(reqs.iter().enumerate().map(|(who, req)| ask_all(&world, req, who, forgets))).await;
        world.borrow().net.heal();
        for req in &reqs {
            // Whatever happened before, the socket still works.
            let mut reply = None;
            while reply.is_none() {
                reply = timeout(Duration::from_secs(10), req.request(message(9, 9)))
                    .await
                    .ok()
                    .and_then(Result::ok);
            }
            assert_eq!(reply.as_ref().map(read), Some((9, 9)));
        }
        for req in &reqs {
            req.close().await;
        }
        for rep in &reps {
            rep.close().await;
        }
        answered
    };
    let (answered, _) =
        tokio::join!(asking, join_all(reps.iter().map(|rep| answer_all(&world, rep, forgets))));
    assert!(answered.iter().all(|answered| *answered > 0), "{answered:?}");
}

#[test]
fn a_reply_answers_the_request_it_belongs_to() {
    for_each_seed(scenario);
}
