//! DEALER and ROUTER: clients that send many questions without waiting, and a server that answers each when it
//! is ready, in any order.
//!
//! ```text
//! cargo run --example async_server
//! ```
//!
//! REQ and REP keep question and answer in step. Here nothing does, so each question carries a number that
//! comes back with its answer; ROUTER puts the client's name in front, and sends to the name it finds there.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use zocket::{Dealer, Endpoint, Frame, Message, Router};

type Fault = Box<dyn Error + Send + Sync>;

const CLIENTS: u8 = 3;
const QUESTIONS: u8 = 8;

/// A task per question; all of them share the socket.
async fn serve(router: Router) -> Result<(), Fault> {
    let router = Arc::new(router);
    loop {
        let question = router.recv().await?;
        let router = Arc::clone(&router);
        tokio::spawn(async move {
            // The client may be gone by now. Then nobody wants the answer.
            router.send(work(question).await).await.ok();
        });
    }
}

/// Squares a number. The small ones take longest.
async fn work(mut question: Message) -> Message {
    let number = question.last().first().copied().unwrap_or_default();
    sleep(Duration::from_millis(20 * u64::from(QUESTIONS - number))).await;
    let square = (u32::from(number) * u32::from(number)).to_string();
    question.push_back(square);
    question
}

/// Asks everything at once. Returns the numbers in the order of their answers.
async fn ask(name: String, at: Endpoint) -> Result<Vec<u8>, Fault> {
    let dealer = Dealer::builder().routing_id(name.as_str()).build();
    dealer.connect(&at)?;
    for number in 0..QUESTIONS {
        dealer.send(Frame::from(&[number])).await?;
    }
    let mut order = Vec::new();
    while order.len() < usize::from(QUESTIONS) {
        let answer = dealer.recv().await?;
        let [number, square] = answer.frames() else { return Err("not an answer".into()) };
        let number = *number.first().ok_or("no number")?;
        assert_eq!(square, &(u32::from(number) * u32::from(number)).to_string());
        order.push(number);
    }
    println!("{name} asked 0 to {}, and was answered in the order {order:?}", QUESTIONS - 1);
    Ok(order)
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let router = Router::new();
    let at = router.bind("tcp://127.0.0.1:0").await?;
    tokio::spawn(serve(router));

    let started = Instant::now();
    let clients: Vec<_> =
        (1..=CLIENTS).map(|n| tokio::spawn(ask(format!("client {n}"), at.clone()))).collect();
    for client in clients {
        let mut order = client.await??;
        assert_ne!(order, Vec::from_iter(0..QUESTIONS), "the slow questions held up the quick ones");
        order.sort_unstable();
        assert_eq!(order, Vec::from_iter(0..QUESTIONS));
    }
    let work: u32 = (1..=u32::from(QUESTIONS)).map(|n| 20 * n).sum::<u32>() * u32::from(CLIENTS);
    println!("{work} ms of work, done in {} ms", started.elapsed().as_millis());
    Ok(())
}
