//! A certificate for loopback that nobody signed, and the way to tell the other process of it: behind the endpoint.

use rcgen::generate_simple_self_signed;

use crate::Outcome;

/// In PEM.
pub(super) struct Certificate {
    pub(super) pem: String,
    pub(super) key: String,
}

impl Certificate {
    pub(super) fn new() -> Outcome<Self> {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        Ok(Self { pem: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }

    /// The endpoint, and who is there, in one line.
    pub(super) fn at(&self, endpoint: &str) -> String {
        format!("{endpoint}|{}", self.pem.replace(['\r', '\n'], "|"))
    }
}

/// The endpoint, and the certificate that is to be trusted there.
pub(super) fn heard(line: &str) -> (&str, Option<String>) {
    match line.split_once('|') {
        Some((endpoint, pem)) => (endpoint, Some(pem.replace('|', "\n"))),
        None => (line, None),
    }
}
