//! What the errors of rumqttc's MQTT 5 mean, as a [`Trouble`]: the broker's reason codes above all.

use rumqttc::TlsError;
use rumqttc::v5::mqttbytes::Error as PacketError;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};

use super::v5::reason;
use crate::mqtt::trouble::{Kind, Trouble, from_io};

/// What rumqttc's error means; `closed` is what a plain end of the connection is called at this point.
pub(super) fn judge(error: ConnectionError, closed: Kind) -> Trouble {
    match error {
        ConnectionError::Io(io)
        | ConnectionError::MqttState(StateError::Io(io) | StateError::Deserialization(PacketError::Io(io))) => {
            from_io(&io, closed)
        }
        ConnectionError::Tls(TlsError::Io(io)) => from_io(&io, Kind::Tls),
        ConnectionError::Tls(other) => Trouble::new(Kind::Tls, other),
        ConnectionError::MqttState(StateError::ConnectionAborted) if closed == Kind::ClosedAtOnce => {
            // A broker that speaks 3.1.1 alone may hang up on what it does not understand; or it answers in 3.1.1, as
            // NATS does, which rumqttc can't read as MQTT 5 and waits for the rest of.
            Trouble::new(
                closed,
                "perhaps it does not speak MQTT 5 (NATS does not): then set protocol = \"3.1.1\" in [mqtt]",
            )
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            Trouble::new(closed, "the broker hung up")
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            Trouble::new(Kind::Silent, "no answer to a ping")
        }
        ConnectionError::MqttState(StateError::Deserialization(PacketError::PayloadSizeLimitExceeded {
            pkt_size,
            max,
        })) => Trouble::new(Kind::Incoming, format_args!("it has {pkt_size} bytes, and {max} are the most")),
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            Trouble::new(disconnected(reason_code), reason(reason_code, reason_string.as_deref()))
        }
        ConnectionError::Timeout(_) => Trouble::new(Kind::Unreachable, "no answer in time"),
        ConnectionError::ConnectionRefused(code) => Trouble::new(refused(code), reason(code, None)),
        other => Trouble::new(Kind::Protocol, other),
    }
}

/// Why the broker does not accept us.
fn refused(code: ConnectReturnCode) -> Kind {
    use ConnectReturnCode as Code;
    match code {
        Code::RefusedProtocolVersion | Code::UnsupportedProtocolVersion => Kind::Version,
        Code::BadClientId | Code::ClientIdentifierNotValid => Kind::ClientId,
        Code::BadUserNamePassword => Kind::BadCredentials,
        Code::NotAuthorized | Code::Banned | Code::BadAuthenticationMethod => Kind::NotAuthorised,
        Code::ServiceUnavailable
        | Code::ServerUnavailable
        | Code::ServerBusy
        | Code::UseAnotherServer
        | Code::ServerMoved => Kind::Unavailable,
        Code::QuotaExceeded | Code::ConnectionRateExceeded => Kind::Quota,
        Code::PacketTooLarge => Kind::TooLarge,
        Code::RetainNotSupported | Code::QoSNotSupported => Kind::Unsupported,
        _ => Kind::Protocol,
    }
}

/// Why the broker ends a session.
fn disconnected(code: DisconnectReasonCode) -> Kind {
    use DisconnectReasonCode as Code;
    match code {
        Code::SessionTakenOver => Kind::TakenOver,
        Code::NotAuthorized => Kind::NotAuthorised,
        Code::QuotaExceeded
        | Code::MessageRateTooHigh
        | Code::ConnectionRateExceeded
        | Code::ReceiveMaximumExceeded => Kind::Quota,
        Code::PacketTooLarge => Kind::TooLarge,
        Code::ServerBusy | Code::ServerShuttingDown | Code::UseAnotherServer | Code::ServerMoved => {
            Kind::Unavailable
        }
        Code::RetainNotSupported
        | Code::QoSNotSupported
        | Code::WildcardSubscriptionsNotSupported
        | Code::SharedSubscriptionNotSupported
        | Code::SubscriptionIdentifiersNotSupported => Kind::Unsupported,
        Code::KeepAliveTimeout => Kind::Silent,
        Code::MalformedPacket | Code::ProtocolError | Code::TopicAliasInvalid => Kind::Protocol,
        _ => Kind::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_hangs_up_at_once_may_be_one_of_3_1_1() {
        let aborted = || ConnectionError::MqttState(StateError::ConnectionAborted);
        let at_once = judge(aborted(), Kind::ClosedAtOnce).to_string();
        assert!(
            at_once.contains("does not speak MQTT 5") && at_once.contains("protocol = \"3.1.1\""),
            "{at_once}"
        );
        let later = judge(aborted(), Kind::Lost).to_string();
        assert!(!later.contains("MQTT 5"), "{later}");
    }

    #[test]
    fn reasons_are_said_in_words_with_what_to_do() {
        let refused = |code| judge(ConnectionError::ConnectionRefused(code), Kind::ClosedAtOnce).to_string();
        assert_eq!(
            refused(ConnectReturnCode::NotAuthorized),
            "the broker does not authorise this client: not authorized \
             (does the broker know this user, and is the password right?)"
        );
        let version = refused(ConnectReturnCode::UnsupportedProtocolVersion);
        assert!(
            version.contains("does not speak MQTT 5") && version.contains("protocol = \"3.1.1\""),
            "{version}"
        );
        assert!(refused(ConnectReturnCode::QuotaExceeded).contains("quota exceeded"));
        assert!(refused(ConnectReturnCode::QoSNotSupported).contains("qos not supported"));
        let ended = |reason_code, said: Option<&str>| {
            let reason_string = said.map(str::to_owned);
            judge(
                ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }),
                Kind::Lost,
            )
        };
        assert_eq!(ended(DisconnectReasonCode::SessionTakenOver, None).kind, Kind::TakenOver);
        let large = ended(DisconnectReasonCode::PacketTooLarge, Some("1000 at\u{1b} most")).to_string();
        assert!(large.contains("packet too large, \"1000 at\\u{1b} most\""), "{large}");
    }
}
