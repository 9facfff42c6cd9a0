//! TLS towards upstreams: whom we trust and which protocols we offer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject};
use tokio_rustls::TlsConnector;
use tollgate_common::catalog::product::UpstreamProtocol;

use super::stream::Protocol;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path} cannot be read as PEM: {source}")]
    File { path: PathBuf, source: pem::Error },
    #[error("{path} holds what is no certificate of an authority: {source}")]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("TLS cannot be set up: {0}")]
    Settings(rustls::Error),
}

/// One client configuration per offer, shared by all upstreams: sessions that can be resumed are
/// kept by host name, so upstreams do not mix.
#[derive(Clone)]
pub struct Trust {
    either: TlsConnector,
    http1: TlsConnector,
    http2: TlsConnector,
}

impl Trust {
    /// Trusts the authorities of the system, and those in the PEM file `extra`. Reads files.
    pub fn new(extra: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = system_roots();
        if let Some(path) = extra {
            add_file(&mut roots, path)?;
        }
        let roots = Arc::new(roots);
        let connector = |offer: &[Protocol]| {
            let provider = Arc::new(ring::default_provider());
            let mut config = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                .map_err(TrustError::Settings)?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = offer.iter().map(|protocol| name(*protocol).to_vec()).collect();
            Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self {
            either: connector(&[Protocol::Http2, Protocol::Http1])?,
            http1: connector(&[Protocol::Http1])?,
            http2: connector(&[Protocol::Http2])?,
        })
    }

    pub(super) fn connector(&self, protocol: UpstreamProtocol) -> &TlsConnector {
        match protocol {
            UpstreamProtocol::Auto => &self.either,
            UpstreamProtocol::Http1 => &self.http1,
            UpstreamProtocol::Http2 => &self.http2,
        }
    }
}

/// What the server has chosen. A server that does not know ALPN speaks HTTP/1.1.
pub(super) fn agreed(alpn: Option<&[u8]>) -> Protocol {
    if alpn == Some(name(Protocol::Http2)) { Protocol::Http2 } else { Protocol::Http1 }
}

const fn name(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's certificate authorities cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("the system has no certificate authorities: https upstreams need a file");
    }
    tracing::debug!(added, ignored, "certificate authorities of the system");
    roots
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustError> {
    let unreadable = |source| TrustError::File { path: path.to_owned(), source };
    let authorities = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(unreadable)?;
    if authorities.is_empty() {
        return Err(unreadable(pem::Error::Io(io::ErrorKind::InvalidData.into())));
    }
    for authority in authorities {
        roots
            .add(authority)
            .map_err(|source| TrustError::Authority { path: path.to_owned(), source })?;
    }
    Ok(())
}
