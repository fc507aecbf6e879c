//! The connection in MQTT 3.1.1.

use rumqttc::{
    AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, QoS, SubscribeFilter,
    SubscribeReasonCode,
};

use super::Tuning;
use super::judge::judge;
use super::wire::{
    self, CHANNEL, EXTRA, Happening, MAX_INCOMING, MAX_OUTGOING, PACKET_IDS, Session, Settings, Unfit,
};
use crate::mqtt::Options;
use crate::mqtt::commands::Received;
use crate::mqtt::message::{Message, Qos};
use crate::mqtt::trouble::{Kind, Trouble};

/// Asks things of the connection, and never waits.
pub(super) struct Sender(AsyncClient);

/// What happens on the connection.
pub(super) struct Events(EventLoop);

/// rumqttc's options for one session.
pub(super) fn options(options: &Options, settings: Settings, status_topic: &str) -> MqttOptions {
    let mut mqtt = MqttOptions::new(options.client_id.as_str(), settings.host, options.port);
    mqtt.set_keep_alive(settings.keep_alive);
    mqtt.set_clean_session(true);
    mqtt.set_inflight(PACKET_IDS);
    mqtt.set_max_packet_size(MAX_INCOMING, MAX_OUTGOING);
    mqtt.set_last_will(LastWill::new(status_topic, "offline", QoS::AtLeastOnce, true));
    if let Some(transport) = settings.transport {
        mqtt.set_transport(transport);
    }
    if let Some((user, password)) = settings.credentials {
        mqtt.set_credentials(user, password);
    }
    mqtt
}

/// Begins a session.
pub(super) async fn connect(options: MqttOptions, tuning: &Tuning) -> Result<Session, Trouble> {
    let (client, mut eventloop) = AsyncClient::new(options, CHANNEL + EXTRA);
    let mut network = eventloop.network_options();
    network.set_tcp_nodelay(true);
    // It is also the time one packet may take to leave: a large one over a slow line must not loop for ever.
    network.set_connection_timeout(tuning.ack_timeout.as_secs().max(1));
    eventloop.set_network_options(network);
    match eventloop.poll().await {
        Ok(_) => Ok(Session {
            sender: wire::Sender::V311(Sender(client)),
            events: wire::Events::V311(Box::new(Events(eventloop))),
        }),
        Err(error) => Err(judge(error, Kind::ClosedAtOnce)),
    }
}

impl Sender {
    /// Hands a message over.
    pub fn publish(&self, message: Message) -> Result<(), Unfit> {
        let qos = match message.qos() {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
        };
        let Message { topic, payload, retain, .. } = message;
        self.0.try_publish(topic, qos, retain, payload).map_err(|error| Unfit::Refused(error.to_string()))
    }

    /// Asks for what is published under these filters; `false`: there is no room for the request.
    pub fn subscribe(&self, filters: &[String]) -> bool {
        let filter = |path: &String| SubscribeFilter { path: path.clone(), qos: QoS::AtLeastOnce };
        self.0.try_subscribe_many(filters.iter().map(filter)).is_ok()
    }

    /// Asks for what the broker has kept under a filter. Nobody acknowledges it, so that the broker need not count.
    pub fn look_up(&self, filter: &str) -> bool {
        self.0.try_subscribe(filter, QoS::AtMostOnce).is_ok()
    }

    /// Ends a subscription; `false`: there is no room for the request.
    pub fn unsubscribe(&self, filter: &str) -> bool {
        self.0.try_unsubscribe(filter).is_ok()
    }

    /// Says farewell; `false`: there is no room for the request.
    pub fn disconnect(&self) -> bool {
        self.0.try_disconnect().is_ok()
    }
}

impl Events {
    /// The next thing that happens; must not be cancelled while the session goes on.
    pub async fn next(&mut self) -> Result<Happening, Trouble> {
        let event = self.0.poll().await.map_err(|error| judge(error, Kind::Lost))?;
        Ok(match event {
            Event::Outgoing(Outgoing::Publish(id)) => Happening::Written(id),
            Event::Outgoing(Outgoing::Disconnect) => Happening::Disconnected,
            Event::Outgoing(Outgoing::AwaitAck(id)) => Happening::Stuck(id),
            Event::Incoming(Packet::PubAck(ack)) => Happening::Acknowledged(ack.pkid, None),
            Event::Incoming(Packet::SubAck(ack)) => {
                let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
                let refusal =
                    "the broker refuses the subscription (does its access list let this user read them?)";
                Happening::Subscribed(if refused { Err(refusal.to_owned()) } else { Ok(()) })
            }
            Event::Incoming(Packet::Publish(message)) => {
                Happening::Received(Received::new(&message.topic, &message.payload, message.retain))
            }
            _ => Happening::Other,
        })
    }
}
