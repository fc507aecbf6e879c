//! The board as a device: how it fares.

use super::HomeAssistant;
use super::discovery::{Availability, Component, Discovery};
use super::words;

/// What Home Assistant is told of the board.
pub fn discovery(ours: &HomeAssistant) -> Discovery {
    let (status, stats) = (ours.topics.status(), ours.topics.stats());
    let available = vec![Availability::by(status.clone())];
    let name = match words::words(&ours.site.device) {
        device if device.eq_ignore_ascii_case("vigie") => "Vigie".to_owned(),
        device => format!("Vigie {device}"),
    };
    let mut board = Discovery::new(ours.board_base(), name, ours.site.model.clone(), available);
    // It can't be unavailable: it is what says whether the others are.
    board.add("status".to_owned(), Component::connectivity(status).available(Vec::new()));
    let figure = |template: &str| Component::measurement(stats.clone()).value(template).diagnostic();
    board.add(
        "stats/temperature".to_owned(),
        figure("{{ value_json.temperature_c }}").class("temperature").unit("°C", 1),
    );
    board.add(
        "stats/memory".to_owned(),
        figure("{{ value_json.rss_mib }}").named("memory").class("data_size").unit("MiB", 0).on_demand(),
    );
    board.add(
        "stats/dropped".to_owned(),
        Component::total(stats)
            .value("{{ value_json.mqtt.dropped.values() | sum }}")
            .named("dropped messages")
            .icon("mdi:message-off")
            .diagnostic()
            .on_demand(),
    );
    board
}
