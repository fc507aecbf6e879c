//! The discovery message of a device, as Home Assistant reads it. Keys are written out: their short forms save little.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::words;

/// Who introduces: the same in every message, and how an earlier one of ours is known.
pub const ORIGIN: &str = "Vigie";

/// A device and its entities.
#[derive(Debug, Serialize)]
pub struct Discovery {
    /// The device.
    pub device: Device,
    /// Who introduces it.
    pub origin: Origin,
    /// What has to be so for its entities to be available, unless one says otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub availability: Vec<Availability>,
    /// All of it.
    pub availability_mode: &'static str,
    /// The entities, in this order.
    #[serde(serialize_with = "in_order")]
    pub components: Vec<(String, Component)>,
}

/// A device in Home Assistant's registry.
#[derive(Debug, Serialize)]
pub struct Device {
    /// What it is known by, for ever.
    pub identifiers: [String; 1],
    /// Its name, with which those of its entities begin.
    pub name: String,
    /// Who made it.
    pub manufacturer: &'static str,
    /// What it is.
    pub model: String,
    /// Version of the program.
    pub sw_version: &'static str,
    /// The device that it is reached by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_device: Option<String>,
}

/// Who introduces a device.
#[derive(Debug, Serialize)]
pub struct Origin {
    /// The program's name.
    pub name: &'static str,
    /// Its version.
    pub sw_version: &'static str,
}

/// A topic that says `online`, or something else.
#[derive(Clone, Debug, Serialize)]
pub struct Availability {
    topic: String,
    value_template: &'static str,
}

impl Availability {
    /// By a status topic: whatever is not `online` (`stalled`, say) is not available.
    pub fn by(topic: String) -> Availability {
        Availability { topic, value_template: "{{ 'online' if value == 'online' else 'offline' }}" }
    }
}

/// An entity. One that has nothing but a platform is removed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Component {
    /// Its kind: `sensor`, say.
    pub platform: String,
    /// What it is known by in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<String>,
    /// Its name after the device's; none: its device class's, in the user's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its value is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_topic: Option<String>,
    /// Where it is commanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_topic: Option<String>,
    /// Where its picture is…
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_topic: Option<String>,
    /// …and what kind of picture that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<&'static str>,
    /// How its value is made of the payload; none: it is the payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_template: Option<String>,
    /// What its value means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_class: Option<&'static str>,
    /// How its values are added up over time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_class: Option<&'static str>,
    /// The unit of its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_of_measurement: Option<&'static str>,
    /// How many digits after the point are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggested_display_precision: Option<u8>,
    /// Whether it is about the device itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_category: Option<&'static str>,
    /// Its icon, where its device class has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon: Option<&'static str>,
    /// Whether it is there until somebody asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled_by_default: Option<bool>,
    /// What kinds of events there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_types: Option<[&'static str; 3]>,
    /// With which quality of service it subscribes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// What has to be so for it to be available, in place of what the device says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<Vec<Availability>>,
}

impl Component {
    fn new(platform: &str, state_topic: String) -> Component {
        Component { platform: platform.to_owned(), state_topic: Some(state_topic), ..Component::default() }
    }

    /// A value that is a number: one that goes up and down.
    pub fn measurement(state_topic: String) -> Component {
        Component { state_class: Some("measurement"), ..Component::new("sensor", state_topic) }
    }

    /// A number that only grows, until it begins anew.
    pub fn total(state_topic: String) -> Component {
        Component { state_class: Some("total_increasing"), ..Component::new("sensor", state_topic) }
    }

    /// `ON` or `OFF`, with a meaning.
    pub fn binary(state_topic: String, device_class: &'static str) -> Component {
        Component { device_class: Some(device_class), ..Component::new("binary_sensor", state_topic) }
    }

    /// Whether a status says `online`.
    pub fn connectivity(status: String) -> Component {
        Component {
            value_template: Some("{{ 'ON' if value == 'online' else 'OFF' }}".to_owned()),
            ..Component::binary(status, "connectivity").diagnostic()
        }
    }

    /// What happens.
    pub fn event(state_topic: String, types: [&'static str; 3]) -> Component {
        Component { event_types: Some(types), qos: Some(1), ..Component::new("event", state_topic) }
    }

    /// Something that can be turned on and off.
    pub fn switch(state_topic: String, command_topic: String) -> Component {
        Component {
            command_topic: Some(command_topic),
            qos: Some(1),
            ..Component::new("switch", state_topic)
        }
    }

    /// A JPEG.
    pub fn image(topic: String) -> Component {
        Component {
            platform: "image".to_owned(),
            image_topic: Some(topic),
            content_type: Some("image/jpeg"),
            ..Component::default()
        }
    }

    /// The end of one.
    pub fn removed(platform: &str) -> Component {
        Component { platform: platform.to_owned(), ..Component::default() }
    }

    /// With a name, which begins with a capital letter.
    pub fn named(self, name: &str) -> Component {
        Component { name: Some(words::title(name)), ..self }
    }

    /// With a value made of the payload.
    pub fn value(self, template: impl Into<String>) -> Component {
        Component { value_template: Some(template.into()), ..self }
    }

    /// In a unit, shown with so many digits after the point.
    pub fn unit(self, unit: &'static str, precision: u8) -> Component {
        Component { unit_of_measurement: Some(unit), suggested_display_precision: Some(precision), ..self }
    }

    /// With a meaning.
    pub fn class(self, device_class: &'static str) -> Component {
        Component { device_class: Some(device_class), ..self }
    }

    /// With an icon.
    pub fn icon(self, icon: &'static str) -> Component {
        Component { icon: Some(icon), ..self }
    }

    /// About the device itself.
    pub fn diagnostic(self) -> Component {
        Component { entity_category: Some("diagnostic"), ..self }
    }

    /// There when somebody asks for it.
    pub fn on_demand(self) -> Component {
        Component { enabled_by_default: Some(false), ..self }
    }

    /// Available under another condition than the device's other entities.
    pub fn available(self, availability: Vec<Availability>) -> Component {
        Component { availability: Some(availability), ..self }
    }
}

impl Discovery {
    /// Of a device that is known by `base`, which is what all its topics begin with.
    pub fn new(base: String, name: String, model: String, availability: Vec<Availability>) -> Discovery {
        Discovery {
            device: Device {
                identifiers: [base],
                name,
                manufacturer: ORIGIN,
                model,
                sw_version: env!("CARGO_PKG_VERSION"),
                via_device: None,
            },
            origin: Origin { name: ORIGIN, sw_version: env!("CARGO_PKG_VERSION") },
            availability,
            availability_mode: "all",
            components: Vec::new(),
        }
    }

    /// Adds an entity: its id is what its topic is after the device's, or reads like that. An id keeps its platform for ever.
    pub fn add(&mut self, id: String, component: Component) {
        let unique_id = Some(format!("{}/{id}", self.device.identifiers[0]));
        self.components.push((id, Component { unique_id, ..component }));
    }
}

fn in_order<S: Serializer>(components: &[(String, Component)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(components.len()))?;
    for (id, component) in components {
        map.serialize_entry(id, component)?;
    }
    map.end()
}
