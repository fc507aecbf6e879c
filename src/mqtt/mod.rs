//! Facts leave the house: topics, payloads, the client and the bounded queue in front of it.

use std::path::PathBuf;
use std::time::Duration;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A file, read when the client starts; a trailing newline is not part of it.
    File(PathBuf),
    /// A systemd credential of that name, under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// TLS towards the broker (`mqtts://`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the authorities to trust; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client's certificate chain and private key, for mutual TLS.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How to reach the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// `Some` for `mqtts://`.
    pub tls: Option<Tls>,
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Client identifier; unique at the broker.
    pub client_id: String,
    /// Keep-alive interval.
    pub keep_alive: Duration,
    /// First level of every topic.
    pub prefix: String,
    /// How many messages wait at most while the broker is away.
    pub queue_messages: usize,
    /// How many bytes they take at most.
    pub queue_bytes: usize,
}
