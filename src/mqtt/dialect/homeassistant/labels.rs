//! Which labels get entities: nobody wants forty.

use super::{HomeAssistant, SiteCamera};

/// What most people watch for, if nothing says what; those of them that the model has.
const COMMON: [&str; 7] = ["person", "bicycle", "car", "truck", "cat", "dog", "bird"];

/// So many of a model that has none of them.
const FIRST: usize = 8;

impl HomeAssistant {
    /// The classes that get entities at a camera: those that the options name; or else those that its zones and lines name;
    /// or else common ones; or else the model's first.
    pub(super) fn classes(&self, camera: &SiteCamera) -> Vec<u16> {
        let names = &self.site.labels;
        let mut all = 0..u16::try_from(names.len()).unwrap_or(u16::MAX);
        if let Some(labels) = &self.options.labels {
            return all.filter(|&id| labels.contains(&names[usize::from(id)])).collect();
        }
        let parts = || camera.zones.iter().chain(&camera.lines).filter(|part| !part.classes.is_empty());
        if parts().next().is_some() {
            return all.filter(|&id| parts().any(|part| part.counts(id))).collect();
        }
        let common: Vec<u16> =
            all.clone().filter(|&id| COMMON.contains(&names[usize::from(id)].as_str())).collect();
        if common.is_empty() { all.by_ref().take(FIRST).collect() } else { common }
    }
}
