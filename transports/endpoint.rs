//! `scheme://address`, checked once and then cheap to pass around.
//!
//! Only the frame is checked here: a scheme of lower-case letters, digits, `+`, `-` and `.` (RFC 3986, section
//! 3.1, without capitals), `://`, and an address that is not empty. What the address means is for the transport
//! of that scheme to say. Invariant: whoever holds an [`Endpoint`] holds a text of at most 1024 bytes without
//! control characters, so it can be stored, logged and shown.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;

const SEPARATOR: &str = "://";

/// How much of a text that is too long goes into the error, in characters.
const SHOWN: usize = 64;

fn beginning(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Where a socket binds or connects: `scheme://address`.
///
/// A clone shares the text. Equality and order are those of the text: `tcp://localhost:1` and
/// `tcp://127.0.0.1:1` differ.
///
/// # Examples
///
/// ```
/// use zocket_transport::Endpoint;
///
/// let endpoint: Endpoint = "tcp://127.0.0.1:5555".parse()?;
/// assert_eq!(endpoint.scheme(), "tcp");
/// assert_eq!(endpoint.address(), "127.0.0.1:5555");
/// assert_eq!(endpoint, Endpoint::new("tcp", "127.0.0.1:5555")?);
/// assert!(Endpoint::try_from("127.0.0.1:5555").is_err());
/// # Ok::<(), zocket_transport::EndpointError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    text: Arc<str>,
    /// Follows from the text, so comparing it as well changes nothing.
    scheme_length: usize,
}

impl Endpoint {
    /// The longest endpoint, in bytes. The longest that works is shorter (a DNS name has 253 bytes, a socket
    /// path 107), so the limit only keeps junk out of tables and logs.
    pub const MAX_LENGTH: usize = 1024;

    /// Puts an endpoint together.
    ///
    /// # Errors
    ///
    /// The scheme or the address is malformed; see [`EndpointError`].
    pub fn new(scheme: impl AsRef<str>, address: impl AsRef<str>) -> Result<Self, EndpointError> {
        let (scheme, address) = (scheme.as_ref(), address.as_ref());
        Self::checked(&format!("{scheme}{SEPARATOR}{address}"), scheme.len())
    }

    /// What stands before `://`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme_length]
    }

    /// What stands behind `://`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.text[self.scheme_length + SEPARATOR.len()..]
    }

    /// The whole text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Checks a text whose first `://` is expected at `scheme_length`.
    fn checked(text: &str, scheme_length: usize) -> Result<Self, EndpointError> {
        if text.len() > Self::MAX_LENGTH {
            return Err(EndpointError::TooLong { endpoint: beginning(text), length: text.len() });
        }
        let (scheme, rest) = text.split_at(scheme_length);
        if !is_scheme(scheme) {
            return Err(EndpointError::InvalidScheme { endpoint: text.into(), scheme: beginning(scheme) });
        }
        let address = &rest[SEPARATOR.len()..];
        if address.is_empty() {
            return Err(EndpointError::EmptyAddress { endpoint: text.into() });
        }
        if let Some(control) = address.chars().find(|c| c.is_control()) {
            return Err(EndpointError::Address {
                endpoint: text.into(),
                part: control.into(),
                reason: "control characters are not allowed".into(),
            });
        }
        Ok(Self { text: text.into(), scheme_length })
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        match text.find(SEPARATOR) {
            // An empty scheme is a missing one.
            None | Some(0) => {
                let is_short = text.len() <= Self::MAX_LENGTH;
                let endpoint = if is_short { text.into() } else { beginning(text) };
                Err(EndpointError::MissingScheme { endpoint })
            }
            Some(scheme_length) => Self::checked(text, scheme_length),
        }
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &str) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl TryFrom<&String> for Endpoint {
    type Error = EndpointError;

    fn try_from(text: &String) -> Result<Self, EndpointError> {
        text.parse()
    }
}

impl From<&Self> for Endpoint {
    fn from(endpoint: &Self) -> Self {
        endpoint.clone()
    }
}

impl AsRef<str> for Endpoint {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Why a text is not an endpoint, or its address not one of its scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// There is no `://`, or nothing before it.
    #[error("endpoint {endpoint:?} has no scheme: write scheme://address")]
    MissingScheme {
        /// The text.
        endpoint: String,
    },
    /// The scheme has characters other than lower-case letters, digits, `+`, `-`, `.`, or starts with no letter.
    #[error("endpoint {endpoint:?}: {scheme:?} is not a scheme, which is lower-case letters and digits")]
    InvalidScheme {
        /// The text.
        endpoint: String,
        /// The part that is wrong, or its beginning.
        scheme: String,
    },
    /// Nothing follows `://`.
    #[error("endpoint {endpoint:?} has no address")]
    EmptyAddress {
        /// The text.
        endpoint: String,
    },
    /// The text is longer than [`Endpoint::MAX_LENGTH`].
    #[error("endpoint {endpoint:?}… has {length} bytes, more than {}", Endpoint::MAX_LENGTH)]
    TooLong {
        /// How the text begins.
        endpoint: String,
        /// All of it, in bytes.
        length: usize,
    },
    /// No transport serves the scheme.
    #[error("endpoint {endpoint:?}: scheme {scheme:?} is not served; known are {}; a context can be given more, as quic", known.join(", "))]
    UnknownScheme {
        /// The text.
        endpoint: String,
        /// The part that is wrong.
        scheme: String,
        /// The schemes that are served.
        known: Vec<&'static str>,
    },
    /// The transport has not been told what it needs for that, as whom to trust.
    #[error("endpoint {endpoint:?}: {missing}")]
    NotSetUp {
        /// The text.
        endpoint: String,
        /// What is missing, as a sentence.
        missing: &'static str,
    },
    /// The address is not one of its scheme.
    #[error("endpoint {endpoint:?}: {part:?}: {reason}")]
    Address {
        /// The text.
        endpoint: String,
        /// The part that is wrong.
        part: String,
        /// What is wrong with it, as the rest of a sentence.
        reason: Cow<'static, str>,
    },
}

impl EndpointError {
    /// The scheme of `endpoint` is none of the `known` ones.
    #[must_use]
    pub fn unknown_scheme(endpoint: &Endpoint, known: impl IntoIterator<Item = &'static str>) -> Self {
        Self::UnknownScheme {
            endpoint: endpoint.as_str().into(),
            scheme: endpoint.scheme().into(),
            known: known.into_iter().collect(),
        }
    }

    /// The transport of `endpoint` lacks something to go there. For transports.
    #[must_use]
    pub fn not_set_up(endpoint: &Endpoint, missing: &'static str) -> Self {
        Self::NotSetUp { endpoint: endpoint.as_str().into(), missing }
    }

    /// In the address of `endpoint`, `part` is wrong. For transports.
    #[must_use]
    pub fn address(
        endpoint: &Endpoint,
        part: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Address { endpoint: endpoint.as_str().into(), part: part.into(), reason: reason.into() }
    }

    /// The endpoint as it was given; of one that is too long, its beginning.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        match self {
            Self::MissingScheme { endpoint }
            | Self::InvalidScheme { endpoint, .. }
            | Self::EmptyAddress { endpoint }
            | Self::TooLong { endpoint, .. }
            | Self::UnknownScheme { endpoint, .. }
            | Self::NotSetUp { endpoint, .. }
            | Self::Address { endpoint, .. } => endpoint,
        }
    }
}

/// So that `impl TryInto<Endpoint>` takes an [`Endpoint`] too, whose conversion cannot fail.
impl From<Infallible> for EndpointError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// As `InvalidInput`: for transports that meet a bad address late.
impl From<EndpointError> for io::Error {
    fn from(error: EndpointError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
