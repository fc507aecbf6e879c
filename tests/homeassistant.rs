//! What Home Assistant is told, by the real daemon through a real mosquitto: at the start, when it is born, and of what is no
//! more. Home Assistant itself is in `tests/ecosystem/`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test that meets what it does not expect shall fail")]

mod support;

use serde_json::{Value, json};
use support::daemon::{Daemon, config, folder_of, until};
use support::mosquitto::{Broker, Received, Subscriber};

const BOARD: &str = "homeassistant/device/vigie-porch/config";
const FRONT: &str = "homeassistant/device/vigie-porch/front/config";
const SIDE: &str = "homeassistant/device/vigie-porch/side/config";

/// A daemon that speaks to Home Assistant, with a camera `front`.
fn speaking(broker: &Broker, pictures: &std::path::Path) -> Daemon {
    let dialects = "mqtt.dialects = ['native', 'homeassistant']\n";
    Daemon::start(&format!("{dialects}{}", config(broker.port, pictures)))
}

fn components(message: &Received) -> Value {
    serde_json::from_str::<Value>(&message.payload).unwrap()["components"].clone()
}

/// What is said next, not what the broker has kept.
fn next(told: &Subscriber, topic: &str) -> Received {
    until(told, topic, |message| message.topic == topic && !message.retained)
}

/// As an earlier configuration has left it: a camera that is no more, and one that had a zone.
fn leave_behind(broker: &Broker) {
    let ours = |components: Value| json!({"origin": {"name": "Vigie"}, "components": components}).to_string();
    let sensor = json!({"platform": "sensor", "unique_id": "u", "state_topic": "t"});
    broker.publish(SIDE, ours(json!({"person/count": sensor})), true);
    broker.publish(FRONT, ours(json!({"zone/steps/person/count": sensor, "person/count": sensor})), true);
}

#[test]
fn what_an_earlier_configuration_had_is_removed() {
    let broker = Broker::start();
    let pictures = folder_of(&["cow.jpg"]);
    leave_behind(&broker);
    let told = broker.subscribe("homeassistant/device/#");
    let daemon = speaking(&broker, pictures.path());
    let (mut side, mut front) = (None, None);
    until(&told, "removal", |message| {
        if message.topic == SIDE && !message.retained {
            side = Some(message.payload.clone());
        }
        if message.topic == FRONT && !message.retained && message.payload.contains("zone/steps") {
            front = Some(components(message));
        }
        side.is_some() && front.is_some()
    });
    assert_eq!(side.unwrap(), "", "a camera goes as a whole");
    let front = front.unwrap();
    assert_eq!(front["zone/steps/person/count"], json!({"platform": "sensor"}));
    assert_eq!(front["person/count"]["state_topic"], "vigie/porch/front/person/count");
    drop(daemon);

    // Its last word is what the broker keeps; the next start has nothing to remove.
    let kept = broker.subscribe("homeassistant/device/#");
    let _again = speaking(&broker, pictures.path());
    let message = next(&kept, FRONT);
    assert!(!message.payload.contains("zone/steps"), "{message:?}");
}

#[test]
fn home_assistants_birth_is_answered_with_all_of_it() {
    let broker = Broker::start();
    let pictures = folder_of(&["cow.jpg"]);
    let told = broker.subscribe("homeassistant/device/#");
    let _daemon = speaking(&broker, pictures.path());
    let (board, front) = (next(&told, BOARD), next(&told, FRONT));
    assert!(components(&front)["detect"]["command_topic"].is_string(), "{front:?}");

    broker.publish("homeassistant/status", "offline", false);
    broker.publish("homeassistant/status", "online", false);
    assert_eq!((next(&told, BOARD).payload, next(&told, FRONT).payload), (board.payload, front.payload));
}
