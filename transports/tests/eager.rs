//! Links that are read from before the event loop tells are links like others.

use std::io;

use zocket_transport::ipc::Ipc;
use zocket_transport::tcp::Tcp;
use zocket_transport::{
    BoxFuture, Endpoint, EndpointError, Link, LinkOptions, Listener, Purpose, Transport, contract,
};

#[derive(Debug)]
struct Eagerly<T>(T);

fn eager(options: &LinkOptions) -> LinkOptions {
    let mut options = options.clone();
    options.eager = true;
    options
}

impl<T: Transport> Transport for Eagerly<T> {
    fn schemes(&self) -> &'static [&'static str] {
        self.0.schemes()
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        self.0.check(endpoint, purpose)
    }

    fn connect(&self, to: &Endpoint, options: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        self.0.connect(to, &eager(options))
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        self.0.bind(at, &eager(options))
    }
}

#[tokio::test]
async fn keeps_the_contract_over_tcp() {
    contract::all(&Eagerly(Tcp::new()), &"tcp://127.0.0.1:*".parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_over_ipc_and_many_threads() {
    contract::all(&Eagerly(Ipc::new()), &"ipc://*".parse().unwrap()).await;
}
