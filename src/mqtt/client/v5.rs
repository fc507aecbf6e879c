//! The connection in MQTT 5: what the other one does, with expiry, content types, and the broker's reasons and limits.

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAckProperties, ConnectProperties, Filter, LastWill, LastWillProperties, Packet, PubAck, PubAckReason,
    Publish, PublishProperties, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};

use super::Tuning;
use super::judge::words;
use super::judge5::judge;
use super::wire::{self, CHANNEL, EXTRA, Happening, MAX_INCOMING, PACKET_IDS, Session, Settings, Unfit};
use crate::mqtt::Options;
use crate::mqtt::commands::Received;
use crate::mqtt::message::{Class, Message, Qos};
use crate::mqtt::trouble::{Kind, Trouble};

/// How long the broker keeps an event for subscribers that are away, in seconds.
const EVENT_EXPIRES: u32 = 24 * 3600;
/// How long a picture is worth keeping, retained or not.
const PICTURE_EXPIRES: u32 = 24 * 3600;
/// A measurement is old when the next ones have come.
const SAMPLE_EXPIRES: u32 = 60;
/// So many messages the broker may send before the first is acknowledged.
const RECEIVE_MAXIMUM: u16 = 16;
/// rumqttc accepts no shorter keep-alive.
const SHORTEST_KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(5);
/// Asks things of the connection, and never waits.
pub(super) struct Sender {
    client: AsyncClient,
    /// The largest packet that the broker takes.
    largest: usize,
}

/// What happens on the connection.
pub(super) struct Events(EventLoop);

/// rumqttc's options for one session.
pub(super) fn options(options: &Options, settings: Settings, status_topic: &str) -> MqttOptions {
    let mut mqtt = MqttOptions::new(options.client_id.as_str(), settings.host, options.port);
    mqtt.set_keep_alive(settings.keep_alive.max(SHORTEST_KEEP_ALIVE));
    mqtt.set_clean_start(true);
    mqtt.set_outgoing_inflight_upper_limit(PACKET_IDS);
    mqtt.set_connect_properties(ConnectProperties {
        max_packet_size: u32::try_from(MAX_INCOMING).ok(),
        receive_maximum: Some(RECEIVE_MAXIMUM),
        ..ConnectProperties::new()
    });
    let text = LastWillProperties {
        delay_interval: None,
        payload_format_indicator: Some(1),
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    mqtt.set_last_will(LastWill::new(status_topic, "offline", QoS::AtLeastOnce, true, Some(text)));
    if let Some(transport) = settings.transport {
        mqtt.set_transport(transport);
    }
    if let Some((user, password)) = settings.credentials {
        mqtt.set_credentials(user, password);
    }
    mqtt
}

/// Begins a session.
pub(super) async fn connect(mut options: MqttOptions, tuning: &Tuning) -> Result<Session, Trouble> {
    let mut network = options.network_options();
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options.set_connection_timeout(tuning.connect_timeout.as_secs().max(1));
    let keep_alive = options.keep_alive();
    let (client, mut eventloop) = AsyncClient::new(options, CHANNEL + EXTRA);
    let accepted = eventloop.poll().await.map_err(|error| judge(error, Kind::ClosedAtOnce))?;
    let limits = match accepted {
        Event::Incoming(Packet::ConnAck(accepted)) => accepted.properties,
        _ => None,
    };
    let largest = check(limits.as_ref())?;
    // "No keep-alive", which rumqttc would take for one ping after the other.
    if limits.is_some_and(|limits| limits.server_keep_alive == Some(0)) {
        eventloop.options.set_keep_alive(keep_alive);
    }
    Ok(Session {
        sender: wire::Sender::V5(Sender { client, largest }),
        events: wire::Events::V5(Box::new(Events(eventloop))),
    })
}

/// Whether the broker can do what is needed, and the largest packet that it takes.
fn check(limits: Option<&ConnAckProperties>) -> Result<usize, Trouble> {
    let Some(limits) = limits else { return Ok(wire::MAX_OUTGOING) };
    if limits.max_qos == Some(0) {
        return Err(Trouble::new(Kind::Unsupported, "it takes no messages of QoS 1"));
    }
    if limits.retain_available == Some(0) {
        return Err(Trouble::new(Kind::Unsupported, "it keeps no retained messages"));
    }
    let largest = limits.max_packet_size.map_or(usize::MAX, |bytes| bytes as usize);
    Ok(largest.min(wire::MAX_OUTGOING))
}

impl Sender {
    /// Hands a message over.
    pub fn publish(&self, message: Message) -> Result<(), Unfit> {
        let qos = match message.qos() {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        };
        let properties = properties(&message);
        let Message { topic, payload, retain, .. } = message;
        let packet = Publish::new(topic.as_str(), qos, payload, Some(properties.clone()));
        // It gets its id later, but has to be measured with one.
        let packet = Publish { pkid: 1, ..packet };
        let bytes = packet.size();
        if bytes > self.largest {
            return Err(Unfit::TooLarge { bytes, most: self.largest });
        }
        let handed = self.client.try_publish_with_properties(topic, qos, retain, packet.payload, properties);
        handed.map_err(|error| Unfit::Refused(error.to_string()))
    }

    /// Asks for what is published under these filters; `false`: there is no room for the request.
    pub fn subscribe(&self, filters: &[String]) -> bool {
        let filter = |path: &String| Filter {
            // A retained command shall be known for one, by those too who are there already.
            preserve_retain: true,
            ..Filter::new(path.as_str(), QoS::AtLeastOnce)
        };
        self.client.try_subscribe_many(filters.iter().map(filter)).is_ok()
    }

    /// Asks for what the broker has kept under a filter. Nobody acknowledges it, so that the broker need not count.
    pub fn look_up(&self, filter: &str) -> bool {
        self.client.try_subscribe(filter, QoS::AtMostOnce).is_ok()
    }

    /// Ends a subscription; `false`: there is no room for the request.
    pub fn unsubscribe(&self, filter: &str) -> bool {
        self.client.try_unsubscribe(filter).is_ok()
    }

    /// Says farewell; `false`: there is no room for the request.
    pub fn disconnect(&self) -> bool {
        self.client.try_disconnect().is_ok()
    }
}

impl Events {
    /// The next thing that happens; must not be cancelled while the session goes on.
    pub async fn next(&mut self) -> Result<Happening, Trouble> {
        let event = self.0.poll().await.map_err(|error| judge(error, Kind::Lost))?;
        Ok(match event {
            Event::Outgoing(Outgoing::Publish(id)) => Happening::Written(id),
            Event::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
            // The broker's receive maximum bounds the packet ids too, so that the next one may still be out; rumqttc sends
            // the message when it is free.
            Event::Outgoing(Outgoing::AwaitAck(_)) => Happening::Other,
            Event::Incoming(Packet::PubAck(ack)) => Happening::Acknowledged(ack.pkid, not_taken(&ack)),
            Event::Incoming(Packet::SubAck(ack)) => Happening::Subscribed(subscribed(&ack)),
            Event::Incoming(Packet::Publish(message)) => {
                let topic = String::from_utf8_lossy(&message.topic);
                Happening::Received(Received::new(&topic, &message.payload, message.retain))
            }
            _ => Happening::Other,
        })
    }
}

/// Why the broker has not taken a message that it acknowledges.
fn not_taken(ack: &PubAck) -> Option<String> {
    let hint = match ack.reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return None,
        PubAckReason::NotAuthorized => " (does its access list let this user write there?)",
        PubAckReason::QuotaExceeded => " (it has a limit for messages or bytes)",
        PubAckReason::TopicNameInvalid => " (it does not accept this topic)",
        _ => "",
    };
    Some(format!(
        "{}{hint}",
        reason(ack.reason, ack.properties.as_ref().and_then(|p| p.reason_string.as_deref()))
    ))
}

fn subscribed(ack: &SubAck) -> Result<(), String> {
    let refused = ack.return_codes.iter().find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
    let Some(code) = refused else { return Ok(()) };
    let said = ack.properties.as_ref().and_then(|properties| properties.reason_string.as_deref());
    Err(format!(
        "the broker refuses the subscription: {} (does its access list let this user read them?)",
        reason(code, said)
    ))
}

/// A reason code and what the broker says to it, in words.
pub(super) fn reason(code: impl std::fmt::Debug, said: Option<&str>) -> String {
    let code = words(&format!("{code:?}"));
    match said {
        Some(said) => format!("{code}, \"{}\"", crate::mqtt::commands::quoted(said, 200)),
        None => code,
    }
}

/// What is said about a message beside its payload.
fn properties(message: &Message) -> PublishProperties {
    if message.is_retired() {
        return PublishProperties::default();
    }
    let expires = match message.class {
        Class::State => None,
        Class::Event => Some(EVENT_EXPIRES),
        Class::Picture => Some(PICTURE_EXPIRES),
        Class::Sample => Some(SAMPLE_EXPIRES),
    };
    let is_text = message.class != Class::Picture;
    let schema = schema(&message.payload).map(|version| ("schema".to_owned(), version));
    PublishProperties {
        payload_format_indicator: is_text.then_some(1),
        message_expiry_interval: expires,
        content_type: content_type(&message.payload).map(str::to_owned),
        user_properties: schema.into_iter().collect(),
        ..PublishProperties::default()
    }
}

/// What a payload is. A plain value of a state is neither.
fn content_type(payload: &[u8]) -> Option<&'static str> {
    match payload {
        [b'{', .., b'}'] => Some("application/json"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        _ => None,
    }
}

/// The version of a payload of ours, which begins with it.
fn schema(payload: &[u8]) -> Option<String> {
    let rest = payload.strip_prefix(br#"{"schema":"#)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(9).copied().collect();
    String::from_utf8(digits).ok().filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_says_of_itself_what_it_is_and_how_long_it_lasts() {
        let event = properties(&Message::event("e", r#"{"schema":1,"device":"porch"}"#));
        assert_eq!(event.message_expiry_interval, Some(EVENT_EXPIRES));
        assert_eq!(event.content_type.as_deref(), Some("application/json"));
        assert_eq!(event.payload_format_indicator, Some(1));
        assert_eq!(event.user_properties, [("schema".to_owned(), "1".to_owned())]);
        let foreign = properties(&Message::event("e", r#"{"type":"new"}"#));
        assert!(foreign.user_properties.is_empty() && foreign.content_type.is_some());
        let state = properties(&Message::state("s", "ON"));
        assert_eq!(
            (state.message_expiry_interval, state.content_type),
            (None, None),
            "it holds until the next one"
        );
        assert_eq!(properties(&Message::retired("s")), PublishProperties::default());
        let picture = properties(&Message::picture("p", [0xff, 0xd8, 0xff, 0xe0], true));
        assert_eq!(picture.content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(
            (picture.payload_format_indicator, picture.message_expiry_interval),
            (None, Some(PICTURE_EXPIRES))
        );
        let sample = properties(&Message::sample("s", "{}"));
        assert_eq!(sample.message_expiry_interval, Some(SAMPLE_EXPIRES));
    }

    fn limits() -> ConnAckProperties {
        ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }
    }

    #[test]
    fn a_broker_that_can_not_do_what_is_needed_is_told_apart() {
        assert_eq!(check(None).unwrap(), wire::MAX_OUTGOING);
        let small = ConnAckProperties { max_packet_size: Some(1000), ..limits() };
        assert_eq!(check(Some(&small)).unwrap(), 1000);
        for wrong in [
            ConnAckProperties { max_qos: Some(0), ..limits() },
            ConnAckProperties { retain_available: Some(0), ..limits() },
        ] {
            assert_eq!(check(Some(&wrong)).unwrap_err().kind, Kind::Unsupported);
        }
    }

    #[test]
    fn acknowledgements_that_are_none_say_why() {
        let ack = |reason| PubAck { reason, ..PubAck::new(1, None) };
        assert_eq!(not_taken(&ack(PubAckReason::NoMatchingSubscribers)), None);
        let denied = not_taken(&ack(PubAckReason::NotAuthorized)).unwrap();
        assert_eq!(denied, "not authorized (does its access list let this user write there?)");
    }
}
