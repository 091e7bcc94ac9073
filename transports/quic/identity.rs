//! Who we are: a private key, and the certificate that carries its public half.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use ring::hmac;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::tls;
use crate::Fingerprint;

/// Who we are to our peers: a private key and its certificate.
///
/// Either with a certificate that an authority has signed ([`from_pem`](Self::from_pem)), or without any authority: a
/// [generated](Self::generate) key, whose [fingerprint](Self::fingerprint) the other side is told by other means and
/// pins with [`Trust::keys`](super::Trust::keys). The certificate around a generated key is made anew each time and says
/// nothing; it has no name and does not expire.
///
/// A clone is the same identity. The private key is never shown.
///
/// # Examples
///
/// ```
/// use zocket_transport::quic::Identity;
///
/// # let folder = std::env::temp_dir().join(format!("zocket-identity-{}", std::process::id()));
/// # std::fs::create_dir(&folder)?;
/// let path = folder.join("key.pem");
/// let identity = Identity::generate()?;
/// identity.save(&path)?;
/// println!("my peers pin {}", identity.fingerprint());
/// assert_eq!(Identity::load(&path)?.fingerprint(), identity.fingerprint());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Identity {
    pub(super) certified: Arc<SingleCertAndKey>,
    key: Arc<PrivateKeyDer<'static>>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// A new key that nobody has heard of, of the kind that every TLS library takes: ECDSA over P-256.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, CredentialError> {
        let key = KeyPair::generate().map_err(|error| CredentialError::malformed("generated key", error))?;
        Self::around(&key)
    }

    /// The certificate that an authority has signed, followed by those between it and the authority, and its private
    /// key (PKCS#8, PKCS#1 or SEC1), all in PEM.
    ///
    /// # Errors
    ///
    /// One of them is missing or malformed, or they do not belong together.
    pub fn from_pem(chain: impl AsRef<[u8]>, private_key: impl AsRef<[u8]>) -> Result<Self, CredentialError> {
        Self::new(certificates(chain.as_ref())?, key(private_key.as_ref())?)
    }

    /// A private key that was [saved](Self::save), or made elsewhere (PKCS#8 in PEM), to be pinned.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no key that can be used.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CredentialError> {
        let path = path.as_ref();
        let pem = fs::read(path).map_err(|error| CredentialError::file(path, error))?;
        let key = KeyPair::try_from(&key(&pem)?);
        Self::around(&key.map_err(|error| CredentialError::malformed("private key", error))?)
    }

    /// Writes the private key into a new file, in PEM, which on unix only its owner may read. A key of
    /// [`from_pem`](Self::from_pem) stays in the form that it had; [`load`](Self::load) takes PKCS#8 alone.
    ///
    /// # Errors
    ///
    /// The file cannot be written, and is removed again, or exists: a key is never written over.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), CredentialError> {
        let path = path.as_ref();
        let label = match &*self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let text = pem::encode(&pem::Pem::new(label, self.key.secret_der()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| CredentialError::file(path, error))?;
        write_all(file, text.as_bytes()).map_err(|error| {
            // Half a key would be in the way of the next attempt.
            fs::remove_file(path).ok();
            CredentialError::file(path, error)
        })
    }

    /// What the other side pins to know this key again.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// A secret of its own for a purpose, the same each time. It says nothing of the private key, nor of other purposes.
    pub(super) fn derive(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret_der());
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
        secret
    }

    /// A certificate that says no more than the key.
    fn around(key: &KeyPair) -> Result<Self, CredentialError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, "zocket");
        let certificate =
            parameters.self_signed(key).map_err(|error| CredentialError::malformed("private key", error))?;
        let private = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| CredentialError::malformed("private key", error))?;
        Self::new(vec![certificate.into()], private)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CredentialError> {
        let fingerprint = chain
            .first()
            .and_then(fingerprint)
            .ok_or_else(|| CredentialError::malformed("certificate", "it cannot be read"))?;
        let certified = CertifiedKey::from_der(chain, key.clone_key(), &tls::provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CredentialError::Mismatch,
            error => CredentialError::malformed("private key", error),
        })?;
        Ok(Self { certified: Arc::new(certified.into()), key: Arc::new(key), fingerprint })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The fingerprint of a certificate's key, if it is a certificate.
pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<Fingerprint> {
    let key = ParsedCertificate::try_from(certificate).ok()?.subject_public_key_info();
    let digest = ring::digest::digest(&ring::digest::SHA256, &key);
    digest.as_ref().try_into().ok().map(Fingerprint::new)
}

/// All certificates of a PEM text, of which there is at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CredentialError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| CredentialError::malformed("certificate", error))?;
    if found.is_empty() { Err(CredentialError::Missing { what: "certificate" }) } else { Ok(found) }
}

/// Writes down to the disk, and closes.
fn write_all(mut file: File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_all()
}

fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, CredentialError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => CredentialError::Missing { what: "private key" },
        error => CredentialError::malformed("private key", error),
    })
}

/// Why something is no [`Identity`] or no [`Trust`](super::Trust).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text has no PEM block of that kind.
    #[error("there is no {what} in the PEM text")]
    Missing {
        /// What was looked for.
        what: &'static str,
    },
    /// Something is there and cannot be used.
    #[error("the {what} cannot be used: {reason}")]
    Malformed {
        /// What it is.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key is not the one of the certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The system has no certificates of authorities, or none that can be read.
    #[error("no authorities were found on this system: {reason}")]
    NoSystemRoots {
        /// What was tried.
        reason: String,
    },
}

impl CredentialError {
    fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.into(), source }
    }

    pub(super) fn malformed(what: &'static str, reason: impl fmt::Display) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::PublicKeyData;

    use super::*;

    #[test]
    fn a_fingerprint_is_the_hash_of_the_whole_public_key() {
        let key = KeyPair::generate().unwrap();
        let expected = ring::digest::digest(&ring::digest::SHA256, &key.subject_public_key_info());
        assert_eq!(Identity::around(&key).unwrap().fingerprint().as_bytes(), expected.as_ref());
    }

    #[test]
    fn a_key_in_another_form_is_saved_as_it_is() {
        // The one of SEC1 in that of PKCS#8, which has one byte of tag and one of length before it.
        let key = KeyPair::generate().unwrap();
        let (whole, start) = (key.serialize_der(), [0x30, 0x6b, 2, 1, 1, 4, 32]);
        let at = whole.windows(start.len()).position(|bytes| bytes == start).unwrap();
        let text = pem::encode(&pem::Pem::new("EC PRIVATE KEY", &whole[at..]));
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        let identity = Identity::from_pem(&certificate, &text).unwrap();
        let path = std::env::temp_dir().join(format!("zocket-test-sec1-{}.pem", std::process::id()));
        identity.save(&path).unwrap();
        let saved = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(saved, text);
    }

    #[test]
    fn nothing_shows_a_private_key() {
        let identity = Identity::generate().unwrap();
        let shown = format!("{identity:?}");
        assert_eq!(shown, format!("Identity {{ fingerprint: {:?}, .. }}", identity.fingerprint()));
    }
}
