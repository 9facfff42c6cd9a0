//! An operator renews certificates without a restart.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use tollgate_test_support::certificates::Authority;
use tollgate_test_support::http::get;
use tollgate_test_support::tollgate::{self, Tollgate, on_free_ports};

use crate::BINARY;

/// When the certificates end that are made here: 1 January 4096.
const YEAR_4096: i64 = 67_090_118_400;

/// Writes a new certificate and key, and answers the certificate.
fn write_certificate(directory: &Path) -> CertificateDer<'static> {
    let issued = Authority::new().issue("localhost");
    issued.write(&directory.join("certificate.pem"), &directory.join("key.pem"));
    issued.der().0
}

/// The certificate that the listener shows.
fn shown(address: SocketAddr) -> CertificateDer<'static> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).unwrap();
    }
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}

#[test]
fn new_files_are_shown_after_a_hang_up_on_both_ports() {
    let data_dir = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let old = write_certificate(files.path());
    let mut command = tollgate::command(BINARY, &["run"]);
    command.envs(on_free_ports(&data_dir));
    for section in ["PROXY", "ADMIN"] {
        let variable = |key: &str| format!("TOLLGATE_{section}__TLS__{key}");
        command.env(variable("CERTIFICATE"), files.path().join("certificate.pem"));
        command.env(variable("PRIVATE_KEY"), files.path().join("key.pem"));
    }
    let mut tollgate = Tollgate::start(command, &["proxy", "admin", "metrics"]);
    let ports = [tollgate.address("proxy"), tollgate.address("admin")];
    assert_eq!(ports.map(shown), [old.clone(), old.clone()]);

    fs::write(files.path().join("certificate.pem"), "no certificate").unwrap();
    tollgate.signal("HUP");
    tollgate.wait_for_log("the certificate was not reloaded, the old one stays", 2);
    assert_eq!(ports.map(shown), [old.clone(), old]);

    let new = write_certificate(files.path());
    tollgate.signal("HUP");
    tollgate.wait_for_log("the certificate was reloaded", 2);
    assert_eq!(ports.map(shown), [new.clone(), new]);
    let metrics = get(tollgate.address("metrics"), "/metrics").body;
    for listener in ["proxy", "admin"] {
        let series = format!("expiry_timestamp_seconds{{listener=\"{listener}\"}} {YEAR_4096}");
        assert!(metrics.contains(&series), "{metrics}");
    }
}

/// Takes any certificate: which one is shown is the question.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
