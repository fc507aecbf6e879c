//! Why a client can't start: what of its options is unusable. What goes wrong later is a [`super::trouble::Trouble`].

use std::io;
use std::path::PathBuf;

/// What a PEM file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pem {
    /// The authorities to trust.
    Authorities,
    /// The client's certificate chain.
    ClientCertificate,
    /// The client's private key.
    ClientKey,
}

impl std::fmt::Display for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Pem::Authorities => "ca file",
            Pem::ClientCertificate => "client certificate",
            Pem::ClientKey => "client key",
        })
    }
}

/// An option that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A secret's file can't be read.
    #[error("can't read the mqtt password from {}: {source} (is it there, and may this user read it?)", path.display())]
    Secret {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A secret's file holds no secret.
    #[error("the mqtt password in {} {problem} (one line of UTF-8 text is expected)", path.display())]
    SecretUnusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without the secret.
        problem: &'static str,
    },
    /// A systemd credential is asked for outside a unit that has one.
    #[error(
        "no systemd credential \"{name}\": $CREDENTIALS_DIRECTORY is not set (add LoadCredential={name}:FILE to the unit, or use password_file)"
    )]
    NoCredentials {
        /// The credential's name.
        name: String,
    },
    /// A certificate or key file can't be read.
    #[error("can't read the {what} {}: {source}", path.display())]
    Pem {
        /// What the file is for.
        what: Pem,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate: the {what} must be PEM (-----BEGIN CERTIFICATE-----)", path.display())]
    NoCertificate {
        /// What the file is for.
        what: Pem,
        /// The file.
        path: PathBuf,
    },
    /// The system has no authorities to trust.
    #[error(
        "the system's certificate store is empty (install ca-certificates, or name the broker's authority with ca_file)"
    )]
    NoSystemStore,
    /// The client's certificate and key don't do.
    #[error("can't use the client certificate {} with the key {}: {source} (do they belong together?)", certificate.display(), key.display())]
    ClientCertificate {
        /// The chain.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A certificate that can't be an authority's.
    #[error("can't trust the certificates in {}: {source} (it must hold the authority's, not a key or a request)", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// rustls can't be set up.
    #[error("can't set up tls: {0}")]
    Tls(rustls::Error),
    /// TLS needs a name or an IPv4 address.
    #[error(
        "can't verify a certificate for the bare IPv6 address {host} (give the broker's host name instead)"
    )]
    Ipv6Tls {
        /// The address.
        host: String,
    },
    /// MQTT 3.1.1 has no password without a user.
    #[error("there is an mqtt password but no user (add username)")]
    PasswordWithoutUser,
    /// No client id.
    #[error("the mqtt client id is empty (leave client_id out for one made from the device's name)")]
    EmptyClientId,
    /// A topic level that MQTT does not allow.
    #[error("\"{level}\" can't be a level of an mqtt topic: {problem}")]
    Topic {
        /// What was given.
        level: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}
