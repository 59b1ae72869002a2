//! Certificates for tests of TLS, made anew each time: an authority, and members that it certifies.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};

/// Signs the certificates of one cluster.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A new one, which nobody knows yet.
    ///
    /// # Panics
    /// No key can be made.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"))
    }

    /// Writes `ca.pem`, and `node.pem` and `node.key` of a member that others know as 127.0.0.1, into a folder.
    ///
    /// # Panics
    /// They cannot be written.
    pub fn certify(&self, folder: &Path) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a valid name");
        params.distinguished_name.push(DnType::CommonName, "node");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        for (name, text) in [("ca.pem", self.0.pem()), ("node.pem", certificate.pem()), ("node.key", key.serialize_pem())] {
            fs::write(folder.join(name), text).expect("a folder that can be written");
        }
    }
}
