//! REQ and REP: one side asks, the other answers. Each request gets its own answer, or an error.
//!
//! ```text
//! cargo run --example hello_world
//! ```

use std::error::Error;

use zocket::{Rep, Req};

async fn answer(rep: Rep) -> Result<(), Box<dyn Error + Send + Sync>> {
    loop {
        // A request is a value of its own: it could as well be answered later, or by another task.
        let request = rep.recv().await?;
        let greeting = match &*request.message().to_text() {
            "world" => "Hello, world!".into(),
            name => format!("Pleased to meet you, {name}."),
        };
        request.reply(greeting).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rep = Rep::new();
    // Port 0 is any free port. `bind` says which one it became.
    let at = rep.bind("tcp://127.0.0.1:0").await?;
    println!("answering at {at}");
    tokio::spawn(answer(rep));

    let req = Req::new();
    req.connect(&at)?;
    for name in ["world", "Ada", "Grace"] {
        let reply = req.request(name).await?;
        println!("{name}? {}", reply.to_text());
        assert!(reply.to_text().contains(name));
    }
    Ok(())
}
