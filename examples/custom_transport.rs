//! A transport of one's own: `mem://name`, pipes in memory, here with the whole protocol on top.
//!
//! ```text
//! cargo run --example custom_transport
//! ```
//!
//! A transport opens and accepts links. Handshakes, queues and reconnecting come with the sockets.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use zocket::transport::{BoxFuture, Incoming, Link, LinkOptions, Listener, Purpose, Transport, Wire};
use zocket::{Context, Endpoint, EndpointError, Pull, Push};

/// Who listens, by name.
#[derive(Debug, Default)]
struct Mem(Arc<Mutex<HashMap<Endpoint, mpsc::UnboundedSender<DuplexStream>>>>);

impl Transport for Mem {
    fn schemes(&self) -> &'static [&'static str] {
        &["mem"]
    }

    fn check(&self, endpoint: &Endpoint, _: Purpose) -> Result<(), EndpointError> {
        match endpoint.address().find(char::is_whitespace) {
            None => Ok(()),
            Some(at) => Err(EndpointError::address(endpoint, &endpoint.address()[at..], "space in a name")),
        }
    }

    fn connect(&self, to: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let (doors, to) = (Arc::clone(&self.0), to.clone());
        Box::pin(async move {
            let (ours, theirs) = duplex(64 << 10);
            let doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
            // One attempt. When nobody is there yet, the socket will try again.
            doors.get(&to).and_then(|door| door.send(theirs).ok()).ok_or(ErrorKind::ConnectionRefused)?;
            Ok(link(ours, &to))
        })
    }

    fn bind(&self, at: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (doors, at) = (Arc::clone(&self.0), at.clone());
        Box::pin(async move {
            let mut doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
            if doors.get(&at).is_some_and(|door| !door.is_closed()) {
                return Err(ErrorKind::AddrInUse.into());
            }
            let (door, peers) = mpsc::unbounded_channel();
            doors.insert(at.clone(), door);
            Ok(Box::new(Door { at, peers }) as Box<dyn Listener>)
        })
    }
}

#[derive(Debug)]
struct Door {
    at: Endpoint,
    peers: mpsc::UnboundedReceiver<DuplexStream>,
}

impl Listener for Door {
    fn endpoint(&self) -> &Endpoint {
        &self.at
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async {
            let stream = self.peers.recv().await.ok_or(ErrorKind::NotConnected)?;
            let accepted = link(stream, &self.at);
            Ok(Incoming::new(async { Ok(accepted) }))
        })
    }
}

fn link(stream: DuplexStream, at: &Endpoint) -> Link {
    Link::new(Wire::Stream(Box::new(stream)), at.clone(), at.clone())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::builder().transport(Mem::default()).build()?;
    let push = Push::builder().context(&context).build();
    println!("told at once: {}", push.connect("mem://no such name").err().ok_or("a bad name was taken")?);
    // Nobody listens there yet: what is sent waits for whoever will.
    push.connect("mem://jobs")?;
    let pull = Pull::builder().context(&context).build();
    pull.bind("mem://jobs").await?;
    for number in 0..=255 {
        push.send(&[number]).await?;
        assert_eq!(pull.recv().await?, [[number]]);
    }
    println!("256 jobs over mem://jobs, all there and in order");
    Ok(())
}
