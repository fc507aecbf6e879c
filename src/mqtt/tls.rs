//! Makes rustls' configuration (with ring) from the [`Tls`] options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::error::{Error, Pem};
use super::file;

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
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_root_certificates(roots(tls.ca_file.as_deref())?);
    Ok(Arc::new(match &tls.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let identity =
                identity(certificate, key, &provider).map_err(|mut errors| errors.swap_remove(0))?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
    }))
}

/// Everything that is wrong with the files, not only the first of it.
pub(super) fn check(tls: &Tls) -> Vec<Error> {
    let mut errors: Vec<Error> = roots(tls.ca_file.as_deref()).err().into_iter().collect();
    if let Some((certificate, key)) = &tls.client {
        errors.extend(identity(certificate, key, &ring::default_provider()).err().into_iter().flatten());
    }
    errors
}

/// Who we are to the broker; or what is wrong, at least one thing.
fn identity(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Vec<Error>> {
    match (certificates(certificate, Pem::ClientCertificate), private_key(key)) {
        (Ok(chain), Ok(secret)) => CertifiedKey::from_der(chain, secret, provider).map_err(|source| {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            vec![Error::ClientCertificate { certificate, key, source }]
        }),
        (chain, secret) => Err(chain.err().into_iter().chain(secret.err()).collect()),
    }
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca_file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(Error::NoSystemStore) } else { Ok(roots) };
    };
    for certificate in certificates(path, Pem::Authorities)? {
        roots.add(certificate).map_err(|source| Error::Authority { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

fn certificates(path: &Path, what: Pem) -> Result<Vec<CertificateDer<'static>>, Error> {
    let error = |source: pem::Error| Error::Pem { what, path: path.to_owned(), source };
    let bytes = file::read(path).map_err(|source| error(pem::Error::Io(source)))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(error)?;
    if chain.is_empty() {
        return Err(Error::NoCertificate { what, path: path.to_owned() });
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let error = |source: pem::Error| Error::Pem { what: Pem::ClientKey, path: path.to_owned(), source };
    let bytes = file::read(path).map_err(|source| error(pem::Error::Io(source)))?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(error)
}
