//! A chat with rooms on one ROUTER: it knows everybody by name, and can tell who has left.
//!
//! ```text
//! cargo run --example chat
//! ```
//!
//! People are DEALERs whose routing id is their name. They send `join ROOM` and `say TEXT`, two frames each;
//! the server passes what is said to everybody else in the room.

use std::collections::HashMap;
use std::error::Error;

use zocket::{Dealer, Endpoint, Frame, Message, Router, SendError};

type Fault = Box<dyn Error + Send + Sync>;

/// Who is in which room.
type Rooms = HashMap<Frame, Frame>;

async fn serve(router: Router) -> Result<(), Fault> {
    let mut rooms = Rooms::new();
    loop {
        // ROUTER puts the name of the sender in front.
        let message = router.recv().await?;
        let [who, verb, what] = message.frames() else { continue };
        if verb == "join" {
            rooms.insert(who.clone(), what.clone());
            tell(&router, &mut rooms, [who.clone(), "joined".into()].into()).await?;
            router.send([who.clone(), "welcome to".into(), what.clone()]).await?;
        } else if verb == "say" {
            tell(&router, &mut rooms, [who.clone(), "says".into(), what.clone()].into()).await?;
        }
    }
}

/// Passes a line that starts with a name to everybody else in that one's room. Those who are gone leave it.
async fn tell(router: &Router, rooms: &mut Rooms, line: Message) -> Result<(), Fault> {
    let (who, room) = (line.first(), rooms.get(line.first()));
    let others = rooms.iter().filter(|(name, at)| *name != who && Some(*at) == room);
    for name in others.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
        let mut line = line.clone();
        line.push_front(name.clone());
        match router.send(line).await {
            Err(SendError::Unroutable(_)) => drop(rooms.remove(&name)),
            sent => sent?,
        }
    }
    Ok(())
}

struct Person {
    name: &'static str,
    socket: Dealer,
}

impl Person {
    async fn join(name: &'static str, room: &str, at: &Endpoint) -> Result<Self, Fault> {
        let socket = Dealer::builder().routing_id(name).build();
        socket.connect(at)?;
        socket.send(["join", room]).await?;
        let person = Self { name, socket };
        person.hears(&["welcome to", room]).await?;
        Ok(person)
    }

    /// Shows the next line, and checks it.
    async fn hears(&self, expected: &[&str]) -> Result<(), Fault> {
        let line = self.socket.recv().await?;
        println!("{:>5} | {}", self.name, line.to_text());
        assert_eq!(line, expected.iter().map(|part| Frame::from(*part)).collect::<Message>());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let router = Router::new();
    let at = router.bind("tcp://127.0.0.1:0").await?;
    tokio::spawn(serve(router));

    let ada = Person::join("ada", "engines", &at).await?;
    let mary = Person::join("mary", "monsters", &at).await?;
    let charles = Person::join("charles", "engines", &at).await?;
    ada.hears(&["charles", "joined"]).await?;
    ada.socket.send(["say", "it weaves algebra"]).await?;
    charles.hears(&["ada", "says", "it weaves algebra"]).await?;
    charles.socket.send(["say", "and it is late, good night"]).await?;
    ada.hears(&["charles", "says", "and it is late, good night"]).await?;
    charles.socket.close().await;
    ada.socket.send(["say", "charles?"]).await?;
    // Had Mary heard any of this, it would come before her own room's welcome.
    mary.socket.send(["join", "engines"]).await?;
    mary.hears(&["welcome to", "engines"]).await?;
    ada.hears(&["mary", "joined"]).await?;
    println!("charles has left, and nobody waits for him");
    Ok(())
}
