//! One connection to the broker, as the task sees it: what can be asked of it, and what happens on it.

use std::time::Duration;

use tokio::time::timeout;

use super::{Tuning, contradictions, is_ipv6, v4, v5};
use crate::mqtt::commands::Received;
use crate::mqtt::error::Error;
use crate::mqtt::message::Message;
use crate::mqtt::trouble::{Kind, Trouble};
use crate::mqtt::{MAX_PAYLOAD, Options, Protocol, tls};

/// Requests that rumqttc may hold before they are on the wire: enough to batch, too few to age.
pub(super) const CHANNEL: usize = 16;
/// Room in the same channel for two subscriptions, the end of one, and a farewell.
pub(super) const EXTRA: usize = 4;
/// More packet ids than are ever in flight at once, so that a reused id never meets one that is still out.
pub(super) const PACKET_IDS: u16 = 100;
/// The largest packet that is sent: topic, packet id and header around a payload.
pub(super) const MAX_OUTGOING: usize = MAX_PAYLOAD + 64 * 1024;
/// The largest packet that is read. A command has a few bytes; but what is larger than this ends the session, and what is
/// smaller can be refused with a reason. rumqttc reads up to ten at once.
pub(super) const MAX_INCOMING: usize = 2 * 1024 * 1024;

/// A connection that the broker has accepted.
pub(super) struct Session {
    pub sender: Sender,
    pub events: Events,
}

/// Asks things of the connection, and never waits.
pub(super) enum Sender {
    V311(v4::Sender),
    V5(v5::Sender),
}

/// Says what happens on the connection.
pub(super) enum Events {
    V311(Box<v4::Events>),
    V5(Box<v5::Events>),
}

/// Why a message can't be handed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it has {bytes} bytes, and the broker takes {most}")]
    TooLarge { bytes: usize, most: usize },
    #[error("{0}")]
    Refused(String),
}

impl Sender {
    /// Hands a message over.
    pub fn publish(&self, message: Message) -> Result<(), Unfit> {
        match self {
            Sender::V311(sender) => sender.publish(message),
            Sender::V5(sender) => sender.publish(message),
        }
    }

    /// Asks for what the broker has kept under a filter, and nothing more; `false`: there is no room for the request.
    pub fn look_up(&self, filter: &str) -> bool {
        match self {
            Sender::V311(sender) => sender.look_up(filter),
            Sender::V5(sender) => sender.look_up(filter),
        }
    }

    /// Ends that; `false`: there is no room for the request.
    pub fn unsubscribe(&self, filter: &str) -> bool {
        match self {
            Sender::V311(sender) => sender.unsubscribe(filter),
            Sender::V5(sender) => sender.unsubscribe(filter),
        }
    }

    /// Asks for what is published under these filters; `false`: there is no room for the request.
    pub fn subscribe(&self, filters: &[String]) -> bool {
        match self {
            Sender::V311(sender) => sender.subscribe(filters),
            Sender::V5(sender) => sender.subscribe(filters),
        }
    }

    /// Says farewell; `false`: there is no room for the request.
    pub fn disconnect(&self) -> bool {
        match self {
            Sender::V311(sender) => sender.disconnect(),
            Sender::V5(sender) => sender.disconnect(),
        }
    }
}

impl Events {
    /// The next thing that happens; must not be cancelled while the session goes on.
    pub async fn next(&mut self) -> Result<Happening, Trouble> {
        match self {
            Events::V311(events) => events.next().await,
            Events::V5(events) => events.next().await,
        }
    }
}

/// What happened on the connection.
#[derive(Debug, PartialEq)]
pub(super) enum Happening {
    /// The oldest message that was handed over is on the wire, with this packet id; 0: nobody will acknowledge it.
    Written(u16),
    /// The broker has the message with this packet id; or it will not have it, and says why.
    Acknowledged(u16, Option<String>),
    /// The next message would have to take this packet id, which is still out.
    Stuck(u16),
    /// The broker's answer to a subscription: what it refuses is said in words.
    Subscribed(Result<(), String>),
    /// A message came.
    Received(Received),
    /// Our farewell is on the wire.
    Disconnected,
    /// Nothing that matters.
    Other,
}

/// What both protocols want to know.
pub(super) struct Settings {
    pub host: String,
    pub keep_alive: Duration,
    pub credentials: Option<(String, String)>,
    pub transport: Option<rumqttc::Transport>,
}

impl Settings {
    /// For one session, with secrets and certificates as the files are now.
    fn read(options: &Options) -> Result<Settings, Error> {
        if let Some(error) = contradictions(options).into_iter().next() {
            return Err(error);
        }
        let password = options.password.as_ref().map(|secret| secret.read()).transpose()?;
        let tls = |tls| Ok(rumqttc::TlsConfiguration::Rustls(tls::client_config(tls)?));
        let tls: Option<Result<_, Error>> = options.tls.as_ref().map(tls);
        Ok(Settings {
            host: if is_ipv6(&options.host) { format!("[{}]", options.host) } else { options.host.clone() },
            // The protocol has 16 bits for it.
            keep_alive: options.keep_alive.clamp(Duration::from_secs(1), Duration::from_secs(65535)),
            credentials: options.username.clone().map(|user| (user, password.unwrap_or_default())),
            transport: tls.transpose()?.map(rumqttc::Transport::tls_with_config),
        })
    }
}

/// Whether a session could be begun with these options.
pub(super) fn check(options: &Options, status_topic: &str) -> Result<(), Error> {
    let settings = Settings::read(options)?;
    match options.protocol {
        Protocol::V311 => drop(v4::options(options, settings, status_topic)),
        Protocol::V5 => drop(v5::options(options, settings, status_topic)),
    }
    Ok(())
}

/// Begins a session.
pub(super) async fn connect(
    options: &Options,
    status_topic: &str,
    tuning: &Tuning,
) -> Result<Session, Trouble> {
    let settings = Settings::read(options).map_err(|error| Trouble::new(Kind::Options, error))?;
    // rumqttc resolves too, but hides that failure among the others.
    let host = (options.host.as_str(), options.port);
    match timeout(tuning.connect_timeout, tokio::net::lookup_host(host)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(Trouble::new(Kind::Resolve, error)),
        Err(_) => return Err(Trouble::new(Kind::Resolve, "no answer in time")),
    }
    let connected = async {
        match options.protocol {
            Protocol::V311 => v4::connect(v4::options(options, settings, status_topic), tuning).await,
            Protocol::V5 => v5::connect(v5::options(options, settings, status_topic), tuning).await,
        }
    };
    match timeout(tuning.connect_timeout, connected).await {
        Ok(session) => session,
        Err(_) => {
            Err(Trouble::new(Kind::Unreachable, format_args!("no answer in {:?}", tuning.connect_timeout)))
        }
    }
}
