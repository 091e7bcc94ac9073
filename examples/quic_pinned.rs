//! Two machines that trust each other without any authority: each knows the other's key by one word.
//!
//! ```text
//! cargo run --example quic_pinned                                      # plays both in one process
//! cargo run --example quic_pinned -- key a.pem                         # on machine a: prints its word
//! cargo run --example quic_pinned -- key b.pem                         # on machine b
//! cargo run --example quic_pinned -- answer a.pem quic://*:5555 WORD-OF-B     # on a
//! cargo run --example quic_pinned -- ask b.pem quic://a:5555 WORD-OF-A        # on b
//! ```

use std::error::Error;
use std::path::Path;

use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Endpoint, Event, PeerProof, Reconnect, Rep, Req};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Shows who we are and talks only to who shows that word, whoever connects.
fn context(us: Identity, word_of_peer: &str) -> Outcome<Context> {
    let trust = Trust::keys([word_of_peer.parse()?]);
    Ok(Context::builder().transport(Quic::server(us).admit(trust.clone()).trust(trust)).build()?)
}

async fn answer(rep: Rep) -> Outcome {
    loop {
        let request = rep.recv().await?;
        let text = request.message().to_text().to_uppercase();
        request.reply(text).await?;
    }
}

async fn ask(context: &Context, to: &Endpoint) -> Outcome {
    // Asking again would not help one who is refused.
    let patience = Reconnect::default().stop_on_refusal();
    let req = Req::builder().context(context).reconnect(patience).build();
    req.connect(to)?;
    let peer = req.connected(to).await?;
    if let Some(PeerProof::Key { fingerprint }) = peer.proof() {
        println!("connected to {fingerprint}");
    }
    println!("it says {}", req.request("hello over quic").await?.to_text());
    Ok(())
}

/// The key of this machine, which is made once and kept.
fn key(path: &str) -> Outcome<Identity> {
    if Path::new(path).exists() {
        return Ok(Identity::load(path)?);
    }
    let identity = Identity::generate()?;
    identity.save(path)?;
    Ok(identity)
}

/// Both machines, and a third that nobody knows.
async fn all_in_one() -> Outcome {
    let (a, b, stranger) = (Identity::generate()?, Identity::generate()?, Identity::generate()?);
    let (word_of_a, word_of_b) = (a.fingerprint().to_string(), b.fingerprint().to_string());
    println!("a is {word_of_a}\nb is {word_of_b}");

    let rep = Rep::builder().context(&context(a, &word_of_b)?).build();
    let mut events = rep.monitor();
    let at = rep.bind("quic://127.0.0.1:0").await?;
    tokio::spawn(answer(rep));

    ask(&context(b, &word_of_a)?, &at).await?;
    let refused = ask(&context(stranger, &word_of_a)?, &at).await;
    println!("a stranger: {}", refused.expect_err("nobody let it in"));
    while let Some(event) = events.next().await {
        if let Event::HandshakeFailed { reason, .. } = event {
            println!("and a says: {reason}");
            break;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => all_in_one().await,
        ["key", path] => {
            println!("{}", key(path)?.fingerprint());
            Ok(())
        }
        ["answer", path, at, word_of_peer] => {
            let rep = Rep::builder().context(&context(key(path)?, word_of_peer)?).build();
            println!("answering at {}", rep.bind(*at).await?);
            answer(rep).await
        }
        ["ask", path, to, word_of_peer] => ask(&context(key(path)?, word_of_peer)?, &to.parse()?).await,
        _ => Err("usage: quic_pinned [key FILE | answer FILE ENDPOINT WORD | ask FILE ENDPOINT WORD]".into()),
    }
}
