//! Facts leave the house: topics, payloads, the client and the bounded queue in front of it.
//!
//! A camera's [`Herald`] says its facts in every [`dialect`], which makes [`Message`]s of them, to a [`Publisher`], which
//! never blocks. That is either the [`client`] (the only file that names rumqttc) with its queue, or [`stdout`], where
//! messages become JSON lines. What comes back, [`commands`], waits in an [`inbox`].

pub mod backoff;
pub mod client;
pub mod commands;
pub mod dialect;
pub mod error;
mod file;
pub mod filter;
mod herald;
pub mod inbox;
pub mod message;
mod outbox;
pub mod payload;
pub mod publisher;
mod queue;
pub mod schema;
mod scribe;
pub mod secret;
pub mod spool;
pub mod stats;
pub mod stdout;
pub mod tls;
pub mod topics;
pub mod trouble;

use std::time::Duration;

pub use client::Client;
pub use dialect::homeassistant;
pub use dialect::{Dialect, Frigate, HomeAssistant, Native, Site, SiteCamera, SitePart};
pub use error::Error;
pub use herald::Herald;
pub use message::{Class, Message, Qos};
pub use publisher::{Publisher, Sink};
pub use secret::Secret;
pub use stats::{Dropped, Spool, SpoolKind, Stats};
pub use tls::Tls;
pub use topics::{CameraTopics, Topics};

/// The largest payload that is accepted; snapshots of 4K cameras fit.
pub const MAX_PAYLOAD: usize = 8 * 1024 * 1024;

/// Which version of MQTT is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// 3.1.1, which every broker understands.
    V311,
    /// 5, with expiry of messages, and reasons where something fails.
    V5,
}

/// How to reach the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The version of MQTT.
    pub protocol: Protocol,
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
    /// Where events are kept on disk; `None`: in memory alone.
    pub spool: Option<spool::Options>,
    /// Whether commands are subscribed to.
    pub commands: bool,
}
