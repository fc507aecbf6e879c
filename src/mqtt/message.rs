//! One [`Message`]: a topic, its payload, and its class, which says what the broker and the queue do with it.

/// How hard delivery is tried (MQTT's quality of service; 2 is not used).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qos {
    /// 0: sent once, perhaps lost.
    AtMostOnce,
    /// 1: kept until the broker has acknowledged it.
    AtLeastOnce,
}

/// What kind of news a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What is so: retained, QoS 1. Only the newest value of a topic matters, and it is published again whenever the
    /// connection is new.
    State,
    /// What happened: not retained, QoS 1. Kept, in order, until the broker has it.
    Event,
    /// How it looks: large, QoS 0, retained or not. Only the newest of a topic matters; it has a budget of its own, so
    /// that no picture drives out an event, and it is forgotten when it was sent.
    Picture,
    /// A measurement among many: not retained, QoS 0, worth something now or never.
    Sample,
}

/// Something to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The full topic, as [`super::topics`] builds it.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// What the queue does with it.
    pub class: Class,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
}

impl Message {
    /// A value that holds until the next one.
    pub fn state(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), class: Class::State, retain: true }
    }

    /// The end of a state: the broker forgets the topic's value (an empty retained payload, MQTT 3.1.1 section
    /// 3.3.1.3), and so does the queue when the broker has heard of it.
    pub fn retired(topic: impl Into<String>) -> Message {
        Message::state(topic, "")
    }

    /// Something that happened.
    pub fn event(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), class: Class::Event, retain: false }
    }

    /// The newest view of something.
    pub fn picture(topic: impl Into<String>, payload: impl Into<Vec<u8>>, retain: bool) -> Message {
        Message { topic: topic.into(), payload: payload.into(), class: Class::Picture, retain }
    }

    /// A measurement among many.
    pub fn sample(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Message {
        Message { topic: topic.into(), payload: payload.into(), class: Class::Sample, retain: false }
    }

    /// Quality of service.
    pub fn qos(&self) -> Qos {
        match self.class {
            Class::State | Class::Event => Qos::AtLeastOnce,
            Class::Picture | Class::Sample => Qos::AtMostOnce,
        }
    }

    /// Whether it ends a state.
    pub fn is_retired(&self) -> bool {
        self.class == Class::State && self.payload.is_empty()
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
