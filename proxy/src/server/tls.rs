//! TLS towards clients: certificates from files, swapped while connections go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::protocols::l4::stream::Stream as Socket;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::stream::Alpn;

/// A handshake takes two round trips and a signature; who needs longer holds a connection for
/// nothing. Pingora's own limit is a fixed 60 s.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// A certificate that ends sooner is warned of where it is loaded. Those that are renewed by themselves
/// are renewed a month before.
const EXPIRY_WARNING: Duration = Duration::from_secs(14 * 24 * 3_600);

/// PEM files: the chain, leaf first, and the key of the leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path} cannot be read as PEM: {source}")]
    File { path: PathBuf, source: pem::Error },
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    #[error("the key in {path} does not work with its certificate: {source}")]
    Key { path: PathBuf, source: rustls::Error },
    #[error("TLS cannot be set up: {0}")]
    Settings(rustls::Error),
}

/// Takes TLS handshakes with the newest certificate that could be loaded.
#[derive(Clone)]
pub struct Terminator {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    files: CertificateFiles,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    key: Arc<CertifiedKey>,
    /// In seconds since 1970; None: the certificate does not say it in a form that is known here.
    expires_at: Option<i64>,
}

impl Terminator {
    pub fn new(files: CertificateFiles) -> Result<Self, CertificateError> {
        let current = ArcSwap::from_pointee(load(&files)?);
        let certificate = Arc::new(Certificate { files, current });
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(CertificateError::Settings)?
            .with_no_client_auth()
            .with_cert_resolver(certificate.clone());
        config.alpn_protocols = vec![Alpn::Http2.name().to_vec(), Alpn::Http1.name().to_vec()];
        config.ticketer = ring::Ticketer::new().map_err(CertificateError::Settings)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Reads the files again. When they are no good, the old certificate stays in use.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.certificate.current.store(Arc::new(load(&self.certificate.files)?));
        Ok(())
    }

    /// For another server of the process, which shares the certificate and its reload.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.acceptor.config().clone()
    }

    /// When the certificate in use ends, in seconds since 1970.
    pub fn expires_at(&self) -> Option<i64> {
        self.certificate.current.load().expires_at
    }

    pub fn certificate_file(&self) -> &Path {
        &self.certificate.files.certificate
    }

    /// None when the handshake fails or takes too long: there is nobody to tell.
    pub(super) async fn accept(&self, socket: Box<Socket>) -> Option<TlsStream<Box<Socket>>> {
        match timeout(HANDSHAKE_MAX, self.acceptor.accept(socket)).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

fn load(files: &CertificateFiles) -> Result<Loaded, CertificateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(unreadable(&files.certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate(files.certificate.clone()));
    }
    let expires_at = expiry(&chain[0], &files.certificate);
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| CertificateError::Key { path: files.key.clone(), source })?;
    Ok(Loaded { key: Arc::new(key), expires_at })
}

/// When a certificate ends. One that is not good now is used all the same: callers that do not look are
/// served, and whoever is warned can mend it.
fn expiry(certificate: &CertificateDer<'_>, path: &Path) -> Option<i64> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    let (begins_at, expires_at) = (validity.not_before, validity.not_after);
    let (now, file) = (ASN1Time::now(), path.display());
    let soon = now.timestamp().saturating_add(EXPIRY_WARNING.as_secs().cast_signed());
    if expires_at < now {
        tracing::warn!(%file, %expires_at, "the certificate has expired: callers will refuse it");
    } else if begins_at > now {
        tracing::warn!(%file, %begins_at, "the certificate is not valid yet: callers will refuse it");
    } else if expires_at.timestamp() < soon {
        tracing::warn!(%file, %expires_at, "the certificate expires soon");
    }
    Some(expires_at.timestamp())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_known_also_when_it_has_passed() {
        let directory = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("certificate.pem"),
            key: directory.path().join("key.pem"),
        };
        let key = KeyPair::generate().unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        let issue = |year| {
            let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            let certificate = params.self_signed(&key).unwrap();
            std::fs::write(&files.certificate, certificate.pem()).unwrap();
        };
        issue(2020);
        let terminator = Terminator::new(files.clone()).unwrap();

        assert_eq!(terminator.expires_at(), Some(1_577_836_800));
        issue(2060);
        terminator.reload().unwrap();
        assert_eq!(terminator.expires_at(), Some(2_840_140_800));
    }
}
