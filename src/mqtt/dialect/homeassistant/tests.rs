//! What Home Assistant is told, and when. That it understands it is shown with Home Assistant itself, in
//! `tests/homeassistant/`.

use serde_json::{Value, json};

use super::*;
use crate::clock::Trust;
use crate::mqtt::dialect::SitePart;

fn options() -> Options {
    Options {
        discovery_prefix: "homeassistant".into(),
        birth_topic: "homeassistant/status".into(),
        birth_payload: "online".into(),
        labels: None,
    }
}

fn part(name: &str, classes: &[bool]) -> SitePart {
    SitePart { name: name.into(), classes: classes.to_vec(), hours: false }
}

fn site() -> Site {
    Site {
        prefix: "vigie".into(),
        device: "porch".into(),
        boot_id: "b00t".into(),
        run_id: "b00t-1".into(),
        model: "m".into(),
        labels: ["person", "traffic light", "car", "cow"].map(str::to_owned).to_vec(),
        cameras: vec![
            SiteCamera {
                name: "front_door".into(),
                zones: vec![part("steps", &[true, false, false, false]), part("street", &[])],
                lines: vec![part("gate", &[false, true, false, false])],
                ..SiteCamera::default()
            },
            SiteCamera { name: "back".into(), ..SiteCamera::default() },
        ],
        trust: Trust::default(),
        commands: false,
    }
}

fn speaks(site: Site, options: Options) -> HomeAssistant {
    HomeAssistant::new(Arc::new(site), options).unwrap()
}

fn said(work: impl FnOnce(Say<'_>)) -> Vec<(String, Value)> {
    let mut said = Vec::new();
    work(&mut |message: Message| {
        assert!(message.retain && message.class == crate::mqtt::Class::State, "{message:?}");
        let payload = if message.payload.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&message.payload).unwrap()
        };
        said.push((message.topic, payload));
    });
    said
}

fn introduction(of: &HomeAssistant) -> Vec<(String, Value)> {
    said(|say| of.introduce(say))
}

fn names(message: &Value) -> Vec<String> {
    let components = message["components"].as_object().unwrap().values();
    let mut names: Vec<String> = components.map(|c| c["name"].as_str().unwrap_or("-").to_owned()).collect();
    names.sort();
    names
}

#[test]
fn the_board_and_each_camera_are_devices() {
    let messages = introduction(&speaks(site(), options()));
    let topics: Vec<&str> = messages.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(
        topics,
        [
            "homeassistant/device/vigie-porch/config",
            "homeassistant/device/vigie-porch/front__door/config",
            "homeassistant/device/vigie-porch/back/config",
        ]
    );
    let devices: Vec<_> =
        messages.iter().map(|(_, m)| (&m["device"]["name"], &m["device"]["via_device"])).collect();
    let board = json!("vigie/porch");
    assert_eq!(
        devices,
        [(&json!("Vigie porch"), &Value::Null), (&json!("Front door"), &board), (&json!("Back"), &board)]
    );
    assert_eq!(messages[0].1["device"]["identifiers"], json!(["vigie/porch"]));
    assert!(messages.iter().all(|(_, message)| message["origin"]["name"] == "Vigie"));
}

#[test]
fn a_cameras_entities_are_those_of_its_parts_labels() {
    let messages = introduction(&speaks(site(), options()));
    let front = &messages[1].1;
    assert_eq!(
        names(front),
        [
            "-",
            "Capture rate",
            "Dropped frames",
            "Gate traffic light in",
            "Gate traffic light out",
            "Last event",
            "Latency",
            "Person active count",
            "Person count",
            "Person occupancy",
            "Processing rate",
            "Steps person count",
            "Steps person occupancy",
            "Street person count",
            "Street person occupancy",
            "Street traffic light count",
            "Street traffic light occupancy",
            "Traffic light active count",
            "Traffic light count",
            "Traffic light occupancy",
        ]
    );
    let occupancy = &front["components"]["zone/steps/person/occupancy"];
    assert_eq!(
        *occupancy,
        json!({
            "platform": "binary_sensor", "unique_id": "vigie/porch/front_door/zone/steps/person/occupancy",
            "name": "Steps person occupancy", "device_class": "occupancy",
            "state_topic": "vigie/porch/front_door/zone/steps/person/occupancy",
        })
    );
    let line = &front["components"]["line/gate/traffic_light/in"];
    assert_eq!(line["state_topic"], "vigie/porch/front_door/line/gate/traffic_light/in");
    assert_eq!(line["state_class"], "total_increasing");
    let statuses: Vec<&Value> =
        front["availability"].as_array().unwrap().iter().map(|by| &by["topic"]).collect();
    assert_eq!(statuses, ["vigie/porch/status", "vigie/porch/front_door/status"]);
    assert_eq!(front["availability_mode"], "all");
    // The status of the camera is known as long as the board's is; that of the board always.
    assert_eq!(front["components"]["status"]["availability"].as_array().unwrap().len(), 1);
    assert_eq!(messages[0].1["components"]["status"]["availability"], json!([]));
}

#[test]
fn labels_are_those_that_are_named_or_common_or_the_first() {
    let back = |site: Site, options: Options| {
        let of = speaks(site, options);
        of.classes(&of.site.cameras[1])
            .iter()
            .map(|&id| of.site.labels[usize::from(id)].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(back(site(), options()), ["person", "car"], "it has no zones: the common ones");
    let named = Options { labels: Some(vec!["cow".into(), "person".into()]), ..options() };
    assert_eq!(back(site(), named.clone()), ["person", "cow"]);
    let of = speaks(site(), named);
    assert_eq!(of.classes(&of.site.cameras[0]), [0, 3], "also where zones name others");
    let parts = Site { labels: (0..20).map(|n| format!("part {n}")).collect(), ..site() };
    assert_eq!(back(parts, options()).len(), 8);
    assert!(back(Site { labels: Vec::new(), ..site() }, options()).is_empty());
}

#[test]
fn what_is_not_published_has_no_entity() {
    let has = |site: Site, id: &str| !introduction(&speaks(site, options()))[2].1["components"][id].is_null();
    assert!(!has(site(), "detect") && !has(site(), "snapshot/person"));
    assert!(has(Site { commands: true, ..site() }, "detect"));
    let mut pictures = site();
    pictures.cameras[1].snapshots = true;
    assert!(has(pictures, "snapshot/person"));
    assert!(!has(site(), "motion"));
    let mut gated = site();
    gated.cameras[1].motion = true;
    assert!(has(gated, "motion"));
}

#[test]
fn all_is_said_again_when_home_assistant_is_born() {
    let of = speaks(site(), options());
    let heard = |topic: &str, payload: &str, retained| {
        said(|say| of.heard(&Heard { topic, payload: payload.as_bytes(), retained }, say))
    };
    assert_eq!(heard("homeassistant/status", "online", false), introduction(&of));
    assert_eq!(heard("homeassistant/status", "online", true), introduction(&of));
    assert!(heard("homeassistant/status", "offline", false).is_empty());
    let filters = [
        "homeassistant/status",
        "homeassistant/device/vigie-porch/config",
        "homeassistant/device/vigie-porch/+/config",
    ];
    assert_eq!(of.filters(), filters);
}

/// What a dialect says when it hears, retained, all that another one has said.
fn after(earlier: &HomeAssistant, now: &HomeAssistant) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for (topic, payload) in introduction(earlier) {
        let payload = payload.to_string();
        let heard = Heard { topic: &topic, payload: payload.as_bytes(), retained: true };
        answers.extend(said(|say| now.heard(&heard, say)));
    }
    answers
}

#[test]
fn what_is_no_more_is_removed_once() {
    let before = speaks(site(), options());
    assert!(after(&before, &before).is_empty(), "nothing has changed");
    let mut fewer = site();
    fewer.cameras.pop();
    fewer.cameras[0].zones.truncate(1);
    let now = speaks(fewer, options());
    let answers = after(&before, &now);
    let [(front, changed), (back, gone)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(back, "homeassistant/device/vigie-porch/back/config");
    assert_eq!(*gone, Value::Null, "a camera goes as a whole");
    assert_eq!(front, "homeassistant/device/vigie-porch/front__door/config");
    let removed = json!({"platform": "binary_sensor"});
    assert_eq!(changed["components"]["zone/street/person/occupancy"], removed);
    assert!(changed["components"]["zone/steps/person/occupancy"]["state_topic"].is_string());
    let count = |message: &Value| message["components"].as_object().unwrap().len();
    assert_eq!(count(changed), count(&introduction(&before)[1].1));

    // The next start finds that message, with nothing left to be removed.
    let text = changed.to_string();
    let heard = Heard { topic: front, payload: text.as_bytes(), retained: true };
    assert!(said(|say| now.heard(&heard, say)).is_empty());
    let mut tombs_first = Vec::new();
    let text = introduction(&before)[1].1.to_string();
    let heard = Heard { topic: front, payload: text.as_bytes(), retained: true };
    now.heard(&heard, &mut |message: Message| tombs_first = message.payload);
    let text = String::from_utf8(tombs_first).unwrap();
    assert!(text.find("zone/street").unwrap() < text.find("zone/steps").unwrap(), "{text}");
}

#[test]
fn other_peoples_devices_are_left_alone() {
    let now = speaks(site(), options());
    let stranger = json!({"origin": {"name": "Zigbee"}, "components": {"a": {"platform": "sensor", "b": 1}}});
    let heard = |topic: &str, payload: &[u8], retained| {
        said(|say| now.heard(&Heard { topic, payload, retained }, say))
    };
    let gone = "homeassistant/device/vigie-porch/side/config";
    assert!(heard(gone, stranger.to_string().as_bytes(), true).is_empty());
    for noise in ["", "null", "[]", "{", "{\"origin\":{\"name\":\"Vigie\"},\"components\":[]}"] {
        assert!(heard(gone, noise.as_bytes(), true).is_empty(), "{noise}");
    }
    assert!(heard(gone, b"\xff", true).is_empty());
    let ours = json!({"origin": {"name": "Vigie"}}).to_string();
    assert!(heard(gone, ours.as_bytes(), false).is_empty(), "not kept: our own words coming back");
    assert_eq!(heard(gone, ours.as_bytes(), true), [(gone.to_owned(), Value::Null)]);
}

#[test]
fn whoever_has_hours_has_an_entity_that_says_whether_it_is_within_them() {
    let mut site = site();
    let introduced = |site: &Site| introduction(&speaks(site.clone(), options()))[1].1.clone();
    assert!(!introduced(&site)["components"].as_object().unwrap().keys().any(|id| id.ends_with("hours")));
    site.cameras[0].hours = true;
    site.cameras[0].zones[1].hours = true;
    let front = introduced(&site);
    for (id, name, topic) in [
        ("hours", "Within hours", "vigie/porch/front_door/hours"),
        ("zone/street/hours", "Street within hours", "vigie/porch/front_door/zone/street/hours"),
    ] {
        let entity = &front["components"][id];
        assert_eq!((&entity["name"], &entity["state_topic"]), (&name.into(), &topic.into()), "{entity}");
        assert_eq!(
            (&entity["platform"], &entity["entity_category"]),
            (&"binary_sensor".into(), &"diagnostic".into())
        );
    }
    assert_eq!(front["components"]["zone/steps/hours"], Value::Null);
}
