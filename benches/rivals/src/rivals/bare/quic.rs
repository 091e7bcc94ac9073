//! One stream of quinn's, with its default numbers, over sockets that do not lose what is under way.

use std::net::UdpSocket;
use std::slice::from_mut;
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::pem::PemObject;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::{ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

use super::framed;
use crate::Outcome;
use crate::job::{Job, Side};
use crate::load::{Report, Tally};
use crate::rivals::certificate::{self, Certificate};

/// What the kernel is asked to hold: with its default of 208 KiB the stream is slower by half.
const BUFFER: usize = 4 << 20;

pub(super) async fn run(job: Job) -> Outcome<Report> {
    if job.side == Side::Serve { receive(&job).await } else { send(&job).await }
}

async fn receive(job: &Job) -> Outcome<Report> {
    let own = Certificate::new()?;
    let chain = vec![CertificateDer::from_pem_slice(own.pem.as_bytes())?];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes())?;
    let endpoint = endpoint(Some(ServerConfig::with_single_cert(chain, key)?))?;
    job.announce(&own.at(&format!("quic://{}", endpoint.local_addr()?)));
    let connection = endpoint.accept().await.ok_or("the endpoint is closed")?.await?;
    let stream = connection.accept_uni().await?;
    let report = framed::receive(Tally::new(job), stream).await?;
    connection.close(0_u32.into(), b"");
    endpoint.wait_idle().await;
    Ok(report)
}

async fn send(job: &Job) -> Outcome<Report> {
    let (there, pem) = certificate::heard(&job.endpoint);
    let pem = pem.ok_or("the other side shows no certificate")?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes())?)?;
    let config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    let address = there.strip_prefix("quic://").ok_or("no quic endpoint")?.parse()?;
    let connection = endpoint(None)?.connect_with(config, address, "127.0.0.1")?.await?;
    let mut stream = connection.open_uni().await?;
    let report = framed::send(job, from_mut(&mut stream)).await?;
    stream.finish()?;
    // The receiver closes, once it has all.
    connection.closed().await;
    Ok(report)
}

fn endpoint(server: Option<ServerConfig>) -> Outcome<Endpoint> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
    setsockopt(&socket, sockopt::SndBuf, &BUFFER)?;
    Ok(Endpoint::new(EndpointConfig::default(), server, socket, Arc::new(TokioRuntime))?)
}
