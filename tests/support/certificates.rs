//! An authority made for one test, with a server's and a client's certificate that it signed.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Files of PEM.
pub struct Certificates {
    folder: tempfile::TempDir,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The server's certificate and its key.
    pub server: (PathBuf, PathBuf),
    /// A client's certificate and key.
    pub client: (PathBuf, PathBuf),
}

impl Certificates {
    /// Makes a new authority and all it signs, the server's for this machine.
    pub fn new() -> Certificates {
        Certificates::for_hosts(&["localhost", "127.0.0.1"])
    }

    /// Makes a new authority and all it signs, the server's for these hosts.
    pub fn for_hosts(hosts: &[&str]) -> Certificates {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = named("Test Authority", &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = write(folder.path(), "ca.pem", &params.self_signed(&key).unwrap().pem());
        let issuer = Issuer::new(params, key);
        let mut server = named("broker", hosts);
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = sign(folder.path(), "server", &server, &issuer);
        let mut client = named("porch", &[]);
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = sign(folder.path(), "client", &client, &issuer);
        Certificates { folder, ca, server, client }
    }

    /// A file of that content beside the others.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        write(self.folder.path(), name, text)
    }
}

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn sign(
    folder: &Path,
    name: &str,
    params: &CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let certificate = write(folder, &format!("{name}.pem"), &certificate.pem());
    (certificate, write(folder, &format!("{name}.key"), &key.serialize_pem()))
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
