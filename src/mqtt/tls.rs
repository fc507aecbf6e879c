//! Makes rustls' configuration (with ring) from the [`Tls`] options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::Error;

/// TLS towards the broker (`mqtts://`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the authorities to trust; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's certificate chain and private key, for mutual TLS.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Reads the files; done at every connection, so that renewed certificates need no restart.
pub(super) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots(tls.ca_file.as_deref())?);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate, "client certificate")?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| Error::Pem {
                what: "client key",
                path: key.clone(),
                source,
            })?;
            builder.with_client_auth_cert(chain, secret).map_err(|source| Error::ClientCertificate {
                certificate: certificate.clone(),
                key: key.clone(),
                source,
            })?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(Error::NoSystemStore) } else { Ok(roots) };
    };
    for certificate in certificates(path, "ca file")? {
        roots.add(certificate).map_err(Error::Tls)?;
    }
    Ok(roots)
}

fn certificates(path: &Path, what: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let error = |source: pem::Error| Error::Pem { what, path: path.to_owned(), source };
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(error)?.collect::<Result<_, _>>().map_err(error)?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { what, path: path.to_owned() });
    }
    Ok(chain)
}
