//! Telling the peers of an earlier life that it is over, by stateless resets (RFC 9000, section 10.3).
//!
//! A listener that was killed and started anew gets packets for connections that it knows nothing of. It ends them at
//! once if it can prove to be the same, by a key that it still has: the key follows from the identity's, and from the
//! address, lest one listener can be used to end the connections of another (section 21.11). The ids of its connections
//! bear a mark, by such a key too, so that it answers nothing else, and that with less than was sent.

use std::net::SocketAddr;
use std::sync::Arc;

use quinn::EndpointConfig;
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use super::identity::Identity;

/// How a listener with this identity is set up at this address.
pub(super) fn config(identity: &Identity, at: SocketAddr) -> EndpointConfig {
    let reset = identity.derive(&format!("zmtp-q1 reset {at}"));
    let ids = identity.derive(&format!("zmtp-q1 ids {at}"));
    let mark = ids.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte));
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset)));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(mark)));
    config
}
