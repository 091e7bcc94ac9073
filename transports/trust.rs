//! Who a peer is and why it is not trusted, for transports that prove keys.
//!
//! A transport that refuses a peer, or is refused, fails with an [`io::Error`] that holds a [`TrustError`], however
//! deep; [`TrustError::of`] finds it. Keys are known by the SHA-256 of their whole public key, as in RFC 7469.

use std::error::Error;
use std::fmt;
use std::io;
use std::str::FromStr;

/// The SHA-256 of a public key, in its DER form with algorithm (SubjectPublicKeyInfo, RFC 5280).
///
/// Shown and parsed as one word of 64 hexadecimal digits, lower case when shown. For a private key in `key.pem`, other
/// programs compute the same with `openssl pkey -in key.pem -pubout -outform DER | sha256sum`.
///
/// # Examples
///
/// ```
/// use zocket_transport::Fingerprint;
///
/// let word = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// let fingerprint: Fingerprint = word.parse()?;
/// assert_eq!(fingerprint.to_string(), word);
/// assert!(word[1..].parse::<Fingerprint>().is_err());
/// # Ok::<(), zocket_transport::FingerprintError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint from its bytes.
    #[must_use]
    pub const fn new(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(word: &str) -> Result<Self, FingerprintError> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits: Option<Vec<_>> = word.bytes().map(digit).collect();
        let Some(digits) = digits.filter(|digits| digits.len() == 64) else {
            return Err(FingerprintError { word: word.chars().take(80).collect() });
        };
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digits.chunks(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
        Ok(Self(bytes))
    }
}

/// A word that is no [`Fingerprint`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no fingerprint, which has 64 hexadecimal digits")]
#[non_exhaustive]
pub struct FingerprintError {
    /// The word, or how it begins.
    pub word: String,
}

/// Why one side does not talk to the other: what it showed, or did not show, of who it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The peer's certificate is good, but for others.
    #[error("the peer's certificate is not for the name {wanted:?}")]
    WrongName {
        /// The host of the endpoint we connect to.
        wanted: String,
    },
    /// The peer's key is none of those we trust.
    #[error("the peer's key {fingerprint} is none that is trusted")]
    UnknownKey {
        /// Its fingerprint.
        fingerprint: Fingerprint,
    },
    /// None of the authorities we trust has signed the peer's certificate.
    #[error("no authority that is trusted has signed the peer's certificate")]
    UnknownAuthority,
    /// The time for which the peer's certificate was valid is over.
    #[error("the peer's certificate has expired")]
    Expired,
    /// The peer's certificate is for later, or one of the two clocks is wrong.
    #[error("the peer's certificate is not valid yet")]
    NotYetValid,
    /// The peer's certificate is malformed, revoked, for another purpose, or not backed by its key.
    #[error("the peer's certificate is no good: {reason}")]
    BadCertificate {
        /// What is wrong with it.
        reason: String,
    },
    /// We ask for a certificate and the peer has shown none.
    #[error("the peer has shown no certificate")]
    NoCertificate,
    /// The two sides speak no protocol in common above the encryption.
    #[error("the peer does not speak ZMTP over QUIC")]
    OtherProtocol,
    /// The two sides could not agree on how to encrypt.
    #[error("no agreement on encryption: {reason}")]
    NoAgreement {
        /// What was missing.
        reason: String,
    },
    /// The peer refuses us: what is wrong with us is in its words.
    #[error("the peer refuses us: {reason}")]
    RefusedByPeer {
        /// Its reason, as the name of a TLS alert (RFC 8446, section 6).
        reason: String,
    },
}

impl TrustError {
    /// The reason within an error of a transport, if it is one of trust.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        inside(error)
    }
}

/// As `PermissionDenied`.
impl From<TrustError> for io::Error {
    fn from(error: TrustError) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, error)
    }
}

/// What an I/O error was made of, if it is a `T`, or comes from one.
pub(crate) fn inside<T: Error + 'static>(error: &io::Error) -> Option<&T> {
    let outermost = error.get_ref().map(|inner| inner as &(dyn Error + 'static));
    std::iter::successors(outermost, |&error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_one_word_that_can_be_typed_in_either_case() {
        let fingerprint = Fingerprint::new(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        let word = fingerprint.to_string();
        assert_eq!(word.len(), 64);
        assert_eq!(word.parse(), Ok(fingerprint));
        assert_eq!(word.to_uppercase().parse(), Ok(fingerprint));
    }

    #[test]
    fn no_other_word_is_a_fingerprint() {
        let word = Fingerprint::new([7; 32]).to_string();
        for wrong in ["", &word[..63], &format!("{word}0"), &word.replace('7', "g"), &"é".repeat(32)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_reason_is_found_however_deep() {
        let flat = io::Error::from(TrustError::Expired);
        assert_eq!(TrustError::of(&flat), Some(&TrustError::Expired));
        assert_eq!(TrustError::of(&io::ErrorKind::PermissionDenied.into()), None);
    }
}
