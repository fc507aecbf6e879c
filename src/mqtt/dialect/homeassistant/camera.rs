//! A camera as a device: what it sees, what crosses its lines, how it fares.

use super::discovery::{Availability, Component, Discovery};
use super::{HomeAssistant, SiteCamera, words};
use crate::mqtt::payload;
use crate::mqtt::topics::{CameraTopics, LabelTopics};
use crate::scene::zones::Direction;

/// What of an event the event entity has for attributes: what an automation asks for. The rest is on the topic.
const EVENT: &str = "{{ {'event_type': value_json.type, 'id': value_json.id, 'label': value_json.label, \
     'score': value_json.score, 'top_score': value_json.top_score, 'zones': value_json.zones, \
     'entered_zones': value_json.entered_zones, 'lines': value_json.lines, 'stationary': value_json.stationary, \
     'first_seen': value_json.first_seen, 'last_seen': value_json.last_seen, \
     'reason': value_json.reason | default(none)} | to_json }}";

/// What Home Assistant is told of a camera.
pub fn discovery(ours: &HomeAssistant, camera: &SiteCamera) -> Discovery {
    let topics = ours.camera_topics(camera);
    let board = Availability::by(ours.topics.status());
    let available = vec![board.clone(), Availability::by(topics.status())];
    let name = words::title(&camera.name);
    let mut device = Discovery::new(ours.camera_base(camera), name, "Camera".to_owned(), available);
    device.device.via_device = Some(ours.board_base());
    for class_id in ours.classes(camera) {
        let class =
            Class { level: ours.levels.of(class_id), label: &ours.site.labels[usize::from(class_id)] };
        let everywhere = topics.label(class.level);
        counts(&mut device, "", "", &class, &everywhere);
        let active = Component::measurement(everywhere.active()).icon("mdi:run").on_demand();
        device.add(format!("{}/active", class.level), active.named(&format!("{} active count", class.label)));
        for zone in camera.zones.iter().filter(|zone| zone.counts(class_id)) {
            let labelled = topics.zone_label(&zone.name, class.level);
            counts(&mut device, &format!("zone/{}/", zone.name), &zone.name, &class, &labelled);
        }
        for line in camera.lines.iter().filter(|line| line.counts(class_id)) {
            crossings(&mut device, &line.name, &class, &topics);
        }
        if camera.snapshots {
            let image = Component::image(topics.snapshot(class.level));
            device
                .add(format!("snapshot/{}", class.level), image.named(&format!("{} snapshot", class.label)));
        }
    }
    if camera.motion {
        device.add("motion".to_owned(), Component::binary(topics.motion(), "motion"));
    }
    if camera.hours {
        hours(&mut device, "", "", topics.hours());
    }
    for zone in camera.zones.iter().filter(|zone| zone.hours) {
        hours(&mut device, &format!("zone/{}/", zone.name), &zone.name, topics.zone_hours(&zone.name));
    }
    let event = Component::event(topics.events(), ["new", "update", "end"]).value(EVENT);
    device.add("events".to_owned(), event.named("last event").icon("mdi:eye"));
    if ours.site.commands {
        let switch = Component::switch(topics.detect_state(), topics.detect_set()).named("detection");
        device.add("detect".to_owned(), switch.icon("mdi:motion-sensor"));
    }
    // A camera that is away is told from a board that is.
    device.add("status".to_owned(), Component::connectivity(topics.status()).available(vec![board]));
    figures(&mut device, &ours.topics.stats(), &camera.name);
    device
}

/// A class, as a topic level and in words.
struct Class<'a> {
    level: &'a str,
    label: &'a str,
}

/// How many of a class there are in a place, which is a zone or, without a name, all of the picture.
fn counts(device: &mut Discovery, path: &str, place: &str, class: &Class<'_>, topics: &LabelTopics) {
    let Class { level, label } = class;
    let occupancy = Component::binary(topics.occupancy(), "occupancy");
    device.add(format!("{path}{level}/occupancy"), occupancy.named(&format!("{place} {label} occupancy")));
    let count = Component::measurement(topics.count()).icon("mdi:counter");
    device.add(format!("{path}{level}/count"), count.named(&format!("{place} {label} count")));
}

/// Whether it is within the hours of the camera, or of a zone.
fn hours(device: &mut Discovery, path: &str, zone: &str, topic: String) {
    let within =
        Component { platform: "binary_sensor".to_owned(), state_topic: Some(topic), ..Component::default() };
    let within = within.named(&format!("{zone} within hours")).icon("mdi:clock-outline");
    device.add(format!("{path}hours"), within.diagnostic());
}

/// How many of a class have crossed a line, either way.
fn crossings(device: &mut Discovery, line: &str, class: &Class<'_>, topics: &CameraTopics) {
    let ways = [(Direction::In, "mdi:location-enter"), (Direction::Out, "mdi:location-exit")];
    for (direction, icon) in ways {
        let (Class { level, label }, way) = (class, payload::way(direction));
        let total = Component::total(topics.line(line, level, way)).icon(icon);
        device.add(format!("line/{line}/{level}/{way}"), total.named(&format!("{line} {label} {way}")));
    }
}

/// How the camera fares, out of the board's figures. `camera` is a topic level that its configuration keeps to letters,
/// digits, `_` and `-`, so it can stand between quotes.
fn figures(device: &mut Discovery, stats: &str, camera: &str) {
    let own = |what: &str| format!("value_json.cameras['{camera}'].{what}");
    let figure = |template: String| Component::measurement(stats.to_owned()).value(template).diagnostic();
    let rate = |what: &str| figure(format!("{{{{ {} }}}}", own(what))).unit("fps", 1).icon("mdi:speedometer");
    device.add("stats/process_fps".to_owned(), rate("process_fps").named("processing rate"));
    device.add("stats/capture_fps".to_owned(), rate("capture_fps").named("capture rate").on_demand());
    // `null` where there were no frames; a template's `none` is Home Assistant's `unknown`.
    let latency = format!(
        "{{% set of = {} %}}{{{{ of.median if of else none }}}}",
        own("latency_ms.capture_to_publish")
    );
    device.add("stats/latency".to_owned(), figure(latency).named("latency").class("duration").unit("ms", 0));
    device.add(
        "stats/frames_dropped".to_owned(),
        Component::total(stats.to_owned())
            .value(format!("{{{{ {} | sum }}}}", own("frames_dropped.values()")))
            .named("dropped frames")
            .icon("mdi:filmstrip-off")
            .diagnostic()
            .on_demand(),
    );
}
