//! Labels are the model's words, so a configuration alone can't tell whether they are right; this looks them up where
//! they stand in the text once the model is known.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Error;
use crate::config::read::{self, Located, Read as _, raw};
use crate::config::report::{Kind, Problem, Problems, did_you_mean};

/// Every label in a configuration file that a model with these class names doesn't have, with its place; `None` if all
/// are right, no names are given, or the file can't be read any more.
pub fn unknown_labels(path: &Path, names: &[String]) -> Option<Error> {
    if names.is_empty() {
        return None;
    }
    let text = read::text(path).ok()?;
    let problems = problems(&text, names);
    (!problems.is_empty()).then(|| Error::of_text(&path.display().to_string(), &text, problems))
}

fn problems(text: &str, names: &[String]) -> Problems {
    let (document, _) = DeTable::parse_recoverable(text);
    let whole = Spanned::new(document.span(), DeValue::Table(document.into_inner()));
    let mut problems = Problems::default();
    // What else is wrong with the text was found when it became a `Config`.
    let Some(file) = raw::File::read(&whole, "", &mut Problems::default()) else { return problems };
    let cameras = || file.camera.iter().flat_map(|cameras| &cameras.value);
    let detect = file.detect.iter().filter_map(|detect| detect.value.thresholds.as_ref());
    let thresholds = detect.chain(cameras().filter_map(|camera| camera.value.thresholds.as_ref()));
    for (label, place) in thresholds.flat_map(|map| &map.value.0).filter(|(label, _)| *label != "*") {
        unless_known(label, place, names, &mut problems);
    }
    let filters = file.detect.iter().filter_map(|detect| detect.value.filters.as_ref());
    let filters = filters.chain(cameras().filter_map(|camera| camera.value.filters.as_ref()));
    for (label, place) in filters.flat_map(|map| &map.value.0).filter(|(label, _)| *label != "*") {
        unless_known(label, place, names, &mut problems);
    }
    let entities = file.homeassistant.iter().filter_map(|table| table.value.labels.as_ref());
    for label in entities.flat_map(|labels| &labels.value) {
        unless_known(&label.value.0, label, names, &mut problems);
    }
    let recorded = file.record.iter().filter_map(|table| table.value.labels.as_ref());
    for label in recorded.flat_map(|labels| &labels.value) {
        unless_known(&label.value.0, label, names, &mut problems);
    }
    for camera in cameras().map(|camera| &camera.value) {
        let zones = camera.zone.iter().flat_map(|zones| &zones.value).map(|zone| &zone.value.labels);
        let ignored = camera.ignore_zone.iter().flat_map(|zones| &zones.value).map(|zone| &zone.value.labels);
        let lines = camera.line.iter().flat_map(|lines| &lines.value).map(|line| &line.value.labels);
        for label in zones.chain(ignored).chain(lines).flatten().flat_map(|labels| &labels.value) {
            unless_known(&label.value.0, label, names, &mut problems);
        }
    }
    problems
}

fn unless_known<T>(label: &str, place: &Located<T>, names: &[String], problems: &mut Problems) {
    if !names.iter().any(|name| name == label) {
        let problem = Problem::with(Kind::Label, place, format!("the model has no label `{label}`"));
        problems.add(problem.hint(did_you_mean(label, names.iter().map(String::as_str))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unknown_label_is_told_with_its_place() {
        let text = "detect.thresholds = { '*' = 0.5, persn = 0.4 }\n\
                    homeassistant.labels = ['car', 'bus']\n\
                    record.labels = ['crow']\n[[camera]]\nname = 'a'\n\
                    source = { testcard = true }\nthresholds = { car = 0.3, 'zebra' = 0.2 }\n\
                    [[camera.zone]]\nname = 'z'\npoints = [[0, 0], [1, 0], [1, 1]]\nlabels = ['car', 'cat']\n";
        let names = ["person", "car"].map(str::to_owned);
        let error = Error::of_text("f.toml", text, problems(text, &names));
        let told: Vec<_> = error
            .problems()
            .iter()
            .map(|p| {
                format!("{:?} {} {} {}", p.position().unwrap(), p.path(), p.message(), p.hint_text().unwrap())
            })
            .collect();
        assert_eq!(
            told,
            [
                "(1, 42) detect.thresholds.persn the model has no label `persn` did you mean `person`?",
                "(2, 32) homeassistant.labels[1] the model has no label `bus` known here: person, car",
                "(3, 18) record.labels[0] the model has no label `crow` known here: person, car",
                "(7, 37) camera[0].thresholds.zebra the model has no label `zebra` known here: person, car",
                "(11, 18) camera[0].zone[0].labels[1] the model has no label `cat` did you mean `car`?",
            ]
        );
        assert!(
            problems(text, &["person", "persn", "car", "zebra", "cat", "bus", "crow"].map(str::to_owned))
                .is_empty()
        );
    }
}
