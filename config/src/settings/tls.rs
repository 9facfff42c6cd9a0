//! A listener's certificate.

use std::path::PathBuf;

use crate::section::{Entry, Field, Reader};

/// PEM files. They are read again on SIGHUP.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
}

// Written by hand because neither half has a default.
impl Field for TlsSettings {
    fn read(reader: &mut Reader<'_>, key: &'static str, _default: Option<Self>) -> Option<Self> {
        let mut inner = reader.section(key, &["certificate", "private_key"])?;
        let certificate = PathBuf::read(&mut inner, "certificate", None);
        let private_key = PathBuf::read(&mut inner, "private_key", None);
        Some(Self { certificate: certificate?, private_key: private_key? })
    }

    fn describe(entry: Entry, _default: Option<&Self>, entries: &mut Vec<Entry>) {
        let section = entry.clone();
        entries.push(entry);
        let certificate = " The certificate and its chain, PEM, the server's own first.";
        PathBuf::describe(section.inside("certificate", certificate), None, entries);
        let private_key = " Its private key, PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase.";
        PathBuf::describe(section.inside("private_key", private_key), None, entries);
    }
}
