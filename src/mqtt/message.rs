//! One [`Message`]: a topic, its payload, and what the broker and the queue may do with it.

/// How hard delivery is tried (MQTT's quality of service; 2 is not used).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// 0: sent once, perhaps lost.
    AtMostOnce,
    /// 1: kept until the broker has acknowledged it.
    AtLeastOnce,
}

/// What the queue does with a message while the broker is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Retained: only the newest value of a topic matters; republished whenever the connection is new.
    State,
    /// Not retained, QoS 1: kept, in order, within the queue's bounds.
    Event,
    /// Not retained, QoS 0: worth something now or never.
    Sample,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The full topic, as [`super::topics`] builds it.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
}

impl Message {
    /// A value that holds until the next one: retained, QoS 1.
    pub fn state(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos: Qos::AtLeastOnce, retain: true }
    }

    /// Something that happened: not retained, QoS 1.
    pub fn event(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos: Qos::AtLeastOnce, retain: false }
    }

    /// A measurement among many: not retained, QoS 0.
    pub fn sample(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos: Qos::AtMostOnce, retain: false }
    }

    /// What the queue does with it.
    pub fn class(&self) -> Class {
        match (self.retain, self.qos) {
            (true, _) => Class::State,
            (false, Qos::AtLeastOnce) => Class::Event,
            (false, Qos::AtMostOnce) => Class::Sample,
        }
    }

    /// The bytes it takes in the queue.
    pub fn len(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    /// Whether it has neither a topic nor a payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
