//! An authority of our own, and certificates by it.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

/// Certifies for one folder.
pub(super) struct Authority {
    folder: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority and writes its certificate as `name.pem`.
    pub(super) fn new(name: &str, folder: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).expect("written");
        Self { folder: folder.to_owned(), issuer }
    }

    /// Writes `name.pem` and `name.key` for these hosts; expired if `is_expired`.
    pub(super) fn certify(&self, name: &str, hosts: &[&str], is_expired: bool) {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        if is_expired {
            params.not_before = date_time_ymd(2000, 1, 1);
            params.not_after = date_time_ymd(2001, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let write = |ending: &str, text: String| {
            std::fs::write(self.folder.join(format!("{name}.{ending}")), text).expect("written");
        };
        write("pem", certificate.pem());
        write("key", key.serialize_pem());
    }
}
