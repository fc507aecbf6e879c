//! Events in words: what happened to each object, a line at a time, for people.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mqtt::payload::{Event, EventType};

/// What was told of each object so far, so that only what is new is told.
#[derive(Debug, Default)]
pub struct Story {
    told: BTreeMap<String, Told>,
    /// How many objects there were, by label.
    objects: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
struct Told {
    label: String,
    zones: Vec<String>,
    crossings: Vec<(String, String)>,
    stationary: bool,
}

impl Story {
    /// What an event says that was not said before, a few words each: `is here`, `came into steps`. The second is the
    /// object's short name, `person 3`.
    pub fn tell(&mut self, event: &Event<'_>) -> (String, Vec<String>) {
        let name = format!("{} {}", event.label, event.id.rsplit('.').next().unwrap_or_default());
        let mut words = Vec::new();
        if event.kind == EventType::New {
            *self.objects.entry(event.label.to_string()).or_default() += 1;
            words.push("is here".to_owned());
        }
        let told = self.told.entry(event.id.to_string()).or_default();
        if event.kind != EventType::New && !told.label.is_empty() && told.label != event.label {
            words.push(format!("was taken for a {}", told.label));
        }
        for zone in event.zones.iter().filter(|zone| !told.zones.iter().any(|old| old == *zone)) {
            words.push(format!("came into {zone}"));
        }
        for zone in told.zones.iter().filter(|zone| !event.zones.iter().any(|now| now == *zone)) {
            words.push(format!("went out of {zone}"));
        }
        // The message has the latest of them, and the oldest go when there are many; what is new stands at its end.
        let crossings: Vec<(String, String)> =
            event.lines.iter().map(|one| (one.line.to_string(), one.direction.to_string())).collect();
        let new = (0..crossings.len())
            .find(|new| told.crossings.ends_with(&crossings[..crossings.len() - new]))
            .unwrap_or(crossings.len());
        for crossing in &event.lines[event.lines.len() - new..] {
            words.push(format!("crossed {} {}wards", crossing.line, crossing.direction));
        }
        if event.stationary != told.stationary {
            words.push(if event.stationary { "has come to rest" } else { "moves on" }.to_owned());
        }
        *told = Told {
            label: event.label.to_string(),
            zones: event.zones.iter().map(|zone| zone.to_string()).collect(),
            crossings,
            stationary: event.stationary,
        };
        if event.kind == EventType::End {
            words.clear();
            words.push(ending(event));
            self.told.remove(event.id.as_ref());
        }
        if words.is_empty() {
            words.push(format!("is seen better: {:.0} %", event.top_score * 100.0));
        }
        (name, words)
    }

    /// How many objects there were: `1 × car, 3 × person`.
    pub fn summary(&self) -> String {
        let counted = self.objects.iter().map(|(label, count)| format!("{count} × {label}"));
        let counted: Vec<String> = counted.collect();
        if counted.is_empty() { "no objects".to_owned() } else { counted.join(", ") }
    }

    /// How many objects there were.
    #[cfg_attr(not(feature = "demo"), allow(dead_code, reason = "the demonstration asks"))]
    pub fn objects(&self) -> usize {
        self.objects.values().sum()
    }
}

fn ending(event: &Event<'_>) -> String {
    let after = event.last_seen_monotonic_ns.saturating_sub(event.first_seen_monotonic_ns) as f64 / 1e9;
    let been = match &event.entered_zones[..] {
        [] => String::new(),
        zones => format!(", was in {}", zones.join(", ")),
    };
    let how = match event.reason.as_deref() {
        Some("left") => "left the picture",
        Some("detect_off") => "was in view when nobody looked any more",
        Some("camera_lost") => "was in view when the camera was lost",
        Some("stopping") => "was in view at the end",
        _ => "was not seen any more",
    };
    format!("{how}, after {after:.1} s{been}")
}

/// A time since the beginning: `1:02.4`, or with hours.
pub fn clock(time: Duration) -> String {
    let tenths = time.as_millis() / 100;
    let (seconds, tenth) = (tenths / 10, tenths % 10);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}.{tenth}")
    } else {
        format!("{minutes}:{seconds:02}.{tenth}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(change: &[(&str, serde_json::Value)]) -> Event<'static> {
        let mut event: serde_json::Value = include_str!("../../tests/data/event.json").parse().unwrap();
        for (key, value) in change {
            event[key] = value.clone();
        }
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn only_what_is_new_is_told() {
        let mut story = Story::default();
        let nowhere = [("zones", serde_json::json!([])), ("lines", serde_json::json!([]))];
        let with = |kind: &str| {
            let mut change = vec![("type", serde_json::json!(kind))];
            change.extend(nowhere.iter().cloned());
            event(&change)
        };
        let words = |story: &mut Story, event: &Event<'_>| story.tell(event).1.join("; ");
        assert_eq!(story.tell(&with("new")), ("person 12".into(), vec!["is here".into()]));
        assert_eq!(words(&mut story, &with("update")), "is seen better: 80 %");
        let inside = event(&[("type", "update".into())]);
        assert_eq!(words(&mut story, &inside), "came into steps; crossed gate inwards");
        let rests = event(&[("type", "update".into()), ("stationary", true.into())]);
        assert_eq!(words(&mut story, &rests), "has come to rest");
        assert_eq!(words(&mut story, &inside), "moves on");
        let taken = event(&[("type", "update".into()), ("label", "cat".into())]);
        assert_eq!(words(&mut story, &taken), "was taken for a person");
        assert_eq!(words(&mut story, &inside), "was taken for a cat");
        assert_eq!(words(&mut story, &with("update")), "went out of steps");
        assert_eq!(words(&mut story, &with("end")), "left the picture, after 4.0 s, was in street, steps");
        assert_eq!((story.summary().as_str(), story.objects()), ("1 × person", 1));
        assert!(story.told.is_empty(), "nothing is kept of what has ended");
    }

    #[test]
    fn crossings_are_told_however_many_there_were() {
        let mut story = Story::default();
        let ways: Vec<&str> = ["in", "out", "in"].into_iter().cycle().take(40).collect();
        for n in 1..=ways.len() {
            // The message has sixteen at most.
            let latest = &ways[n.saturating_sub(16)..n];
            let lines: Vec<_> =
                latest.iter().map(|way| serde_json::json!({"line": "gate", "direction": way})).collect();
            let change = [("type", "update".into()), ("lines", lines.into())];
            let words = story.tell(&event(&change)).1;
            assert_eq!(
                words.last().unwrap(),
                &format!("crossed gate {}wards", latest[latest.len() - 1]),
                "{n}"
            );
            assert_eq!(story.tell(&event(&change)).1, ["is seen better: 80 %"], "and each once");
        }
    }

    #[test]
    fn times_read_as_on_a_clock() {
        assert_eq!(clock(Duration::from_millis(62_490)), "1:02.4");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03.0");
    }
}
