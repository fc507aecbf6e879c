//! What rumqttc's errors mean, as a [`Trouble`].

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError, TlsError};

use crate::mqtt::trouble::{Kind, Trouble, from_io};

/// A name of rumqttc's as words: `NotAuthorized` is "not authorized".
pub(super) fn words(name: &str) -> String {
    let mut words = String::new();
    for c in name.replace("QoS", "Qos").chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
    }
    words
}

/// What rumqttc's error means; `closed` is what a plain end of the connection is called at this point.
pub(super) fn judge(error: ConnectionError, closed: Kind) -> Trouble {
    match error {
        ConnectionError::Io(io)
        | ConnectionError::MqttState(StateError::Io(io) | StateError::Deserialization(PacketError::Io(io))) => {
            from_io(&io, closed)
        }
        ConnectionError::Tls(TlsError::Io(io)) => from_io(&io, Kind::Tls),
        ConnectionError::Tls(other) => Trouble::new(Kind::Tls, other),
        ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded(
            bytes,
        ))) => Trouble::new(Kind::Incoming, format_args!("it has {bytes} bytes")),
        ConnectionError::MqttState(StateError::Deserialization(PacketError::TopicNotUtf8)) => {
            Trouble::new(Kind::Incoming, "its topic is no UTF-8 text")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Trouble::new(closed, "the broker hung up")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Trouble::new(Kind::Silent, "no answer to a ping")
        }
        ConnectionError::NetworkTimeout => Trouble::new(Kind::Unreachable, "no answer in time"),
        ConnectionError::FlushTimeout => Trouble::new(Kind::Silent, "the network takes no more data"),
        ConnectionError::ConnectionRefused(code) => {
            let kind = match code {
                ConnectReturnCode::BadUserNamePassword => Kind::BadCredentials,
                ConnectReturnCode::NotAuthorized => Kind::NotAuthorised,
                ConnectReturnCode::BadClientId => Kind::ClientId,
                ConnectReturnCode::ServiceUnavailable => Kind::Unavailable,
                _ => Kind::Protocol,
            };
            Trouble::new(kind, words(&format!("{code:?}")))
        }
        other => Trouble::new(Kind::Protocol, other),
    }
}
