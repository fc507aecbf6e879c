//! What is a command, and what is refused for which reason.

use super::*;
use crate::clock::Trust;

fn commands() -> Commands {
    let labels = ["person", "traffic light", "traffic_light", "dog"];
    Commands::new(&Site {
        prefix: "home/vigie".into(),
        device: "porch".into(),
        boot_id: "b00t".into(),
        run_id: "b00t-1".into(),
        model: "m".into(),
        labels: labels.map(String::from).to_vec(),
        cameras: vec![
            "front".into(),
            SiteCamera { motion: true, snapshots: true, ..SiteCamera::from("back") },
        ],
        trust: Trust::default(),
        commands: true,
    })
    .unwrap()
}

fn read(topic: &str, payload: impl AsRef<[u8]>) -> Result<Change, Reason> {
    let message = Received::new(&format!("home/vigie/porch/{topic}"), payload.as_ref(), false);
    let read = commands().read(&message);
    if let Ok(command) = &read {
        assert!(topic.starts_with(&format!("{}/", command.camera)));
    }
    read.map(|command| command.change).map_err(|refusal| refusal.reason)
}

#[test]
fn a_switch_takes_what_home_assistant_frigate_and_people_send() {
    for on in ["ON", "on", "On", " ON\n", "true", "1"] {
        assert_eq!(read("front/detect/set", on), Ok(Change::Detect(true)), "{on:?}");
    }
    for off in ["OFF", "off", "False", "0", "\tOFF\r\n"] {
        assert_eq!(read("back/detect/set", off), Ok(Change::Detect(false)), "{off:?}");
    }
    let expected = SWITCH;
    for other in ["ONN", "O N", "yes", "2", "{\"on\":true}", "ÖN", "toggle"] {
        assert_eq!(read("front/detect/set", other), Err(Reason::NoValue { expected }), "{other:?}");
    }
}

#[test]
fn a_threshold_is_a_plain_fraction_of_a_label_or_of_all() {
    let threshold = |class_id, score| Ok(Change::Threshold { class_id, score });
    assert_eq!(read("front/threshold/person/set", "0.4"), threshold(Some(0), 0.4));
    assert_eq!(read("front/threshold/traffic_light/set", "1"), threshold(Some(1), 1.0));
    assert_eq!(read("front/threshold/traffic_light_2/set", "0"), threshold(Some(2), 0.0));
    assert_eq!(read("front/threshold/all/set", " .55 "), threshold(None, 0.55));
    let expected = FRACTION;
    for other in ["1.01", "-0.1", "+0.1", "1e-1", "NaN", "inf", "0,4", "0x1", "40%", "..", ".", "0.4.1"] {
        assert_eq!(read("front/threshold/person/set", other), Err(Reason::NoValue { expected }), "{other:?}");
    }
}

#[test]
fn a_label_that_is_called_all_is_that_label() {
    let commands = Commands { levels: LabelLevels::new(&["all".into()]), ..commands() };
    let message = Received::new("home/vigie/porch/front/threshold/all/set", b"0.5", false);
    let change = commands.read(&message).unwrap().change;
    assert_eq!(change, Change::Threshold { class_id: Some(0), score: 0.5 });
}

#[test]
fn what_is_not_there_is_refused_with_what_there_is() {
    let said = |topic: &str| read(topic, "ON").unwrap_err().to_string();
    assert!(said("garage/detect/set").contains("it has: front, back"));
    assert!(said("front/detec/set").contains("threshold/LABEL"));
    assert!(said("front/detect/state").contains("no such setting"));
    assert!(said("front/threshold/set").contains("no such setting"));
    assert!(said("front/threshold/cat/set").contains("person, traffic_light, traffic_light_2, dog, and all"));
    assert!(said("front/motion/set").contains("has no motion gate"));
    assert!(said("front/snapshot/set").contains("has no snapshots"));
    assert_eq!(read("back/motion/set", "OFF"), Ok(Change::Motion(false)));
    assert_eq!(read("back/snapshot/set", "ON"), Ok(Change::Snapshot(true)));
    assert!(said("+/detect/set").contains("no camera of that name"));
    assert!(said("#").contains("no camera of that name"));
    let elsewhere = Received::new("home/vigie/porch2/front/detect/set", b"ON", false);
    assert!(commands().read(&elsewhere).is_err());
}

#[test]
fn payloads_that_are_none_are_refused() {
    let expected = SWITCH;
    assert_eq!(read("front/detect/set", ""), Err(Reason::Empty { expected }));
    assert_eq!(read("front/detect/set", " \n"), Err(Reason::Empty { expected }));
    assert_eq!(read("front/detect/set", [b'O', 0xff]), Err(Reason::NoText { expected }));
    let megabyte = vec![b'O'; 1 << 20];
    assert_eq!(read("front/detect/set", &megabyte), Err(Reason::TooLong { bytes: 1 << 20, expected }));
    let long = Received::new(&"x/".repeat(40_000), &megabyte, false);
    assert!(long.topic.len() <= LONGEST_TOPIC && long.payload.len() == KEPT, "nothing large is kept");
}

#[test]
fn a_retained_command_is_refused_whatever_it_says() {
    let message = Received::new("home/vigie/porch/front/detect/set", b"OFF", true);
    let refusal = commands().read(&message).unwrap_err();
    assert_eq!(refusal, Refusal { camera: Some("front".into()), reason: Reason::Retained });
    let removal = Received::new("home/vigie/porch/front/detect/set", b"", true);
    assert!(matches!(commands().read(&removal).unwrap_err().reason, Reason::Empty { .. }));
}

#[test]
fn a_strangers_words_are_quoted_as_plain_text() {
    assert_eq!(quoted("ON?", 8), "ON?");
    assert_eq!(quoted("a\u{1b}[31m\n", 40), "a\\u{1b}[31m\\u{a}");
    assert_eq!(quoted("abcdefgh", 4), "abcd...");
    assert_eq!(quoted("ééé", 2), "\\u{e9}\\u{e9}...");
    assert!(quoted("\u{202e}", 9).is_ascii());
}

proptest::proptest! {
    #[test]
    fn nothing_that_comes_makes_it_panic_and_no_refusal_repeats_it(
        topic in "home/vigie/porch/(front|back|.{0,6})/(detect|threshold|.{0,9})(/(person|all|.{0,9}))?/(set|.{0,5})|.{0,99}",
        payload in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
        retained in proptest::bool::ANY,
    ) {
        let message = Received::new(&topic, &payload, retained);
        match commands().read(&message) {
            Ok(command) => proptest::prop_assert!(!retained && topic.contains(&command.camera)),
            Err(refusal) => proptest::prop_assert!(refusal.reason.to_string().is_ascii()),
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_plain(text in ".{0,200}") {
        let quoted = quoted(&text, 40);
        proptest::prop_assert!(quoted.len() <= 40 * 10 + 3);
        proptest::prop_assert!(quoted.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
}
