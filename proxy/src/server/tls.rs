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

use super::stream::Alpn;

/// A handshake takes two round trips and a signature; who needs longer holds a connection for
/// nothing. Pingora's own limit is a fixed 60 s.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

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
    current: ArcSwap<CertifiedKey>,
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
        Some(self.current.load_full())
    }
}

fn load(files: &CertificateFiles) -> Result<CertifiedKey, CertificateError> {
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
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(unreadable(&files.key))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| CertificateError::Key { path: files.key.clone(), source })
}
