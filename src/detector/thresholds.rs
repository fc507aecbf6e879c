//! Score thresholds, resolved from labels to a model's classes.

use super::{Contract, Thresholds};

/// A label that the model doesn't know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model has no label `{label}`{}; it has: {}", suggest(.suggestion), super::words::listed(.known.iter().map(String::as_str), 100))]
pub struct UnknownLabel {
    /// What was asked for.
    pub label: String,
    /// The nearest label that there is, if one is near.
    pub suggestion: Option<String>,
    /// All that there are.
    pub known: Vec<String>,
}

fn suggest(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default()
}

/// One score threshold for each of a model's classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassThresholds {
    scores: Vec<f32>,
    logits: Vec<f32>,
}

impl ClassThresholds {
    /// From one score for each class, 0…1; a class with a threshold above 1 is never reported.
    pub fn new(scores: Vec<f32>) -> ClassThresholds {
        let logits = scores.iter().map(|&s| logit(s)).collect();
        ClassThresholds { scores, logits }
    }

    /// The same score for all of `classes` classes.
    pub fn uniform(score: f32, classes: usize) -> ClassThresholds {
        ClassThresholds::new(vec![score; classes])
    }

    /// By class: the lowest score that is reported.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// By class: the lowest logit that is reported, so that what is below costs no sigmoid.
    pub(super) fn logits(&self) -> &[f32] {
        &self.logits
    }
}

/// The inverse of the sigmoid, widened to all thresholds: what nothing reaches is infinite.
fn logit(score: f32) -> f32 {
    if score <= 0.0 {
        f32::NEG_INFINITY
    } else if score < 1.0 {
        (score / (1.0 - score)).ln()
    } else {
        // Also for NaN: a threshold that makes no sense reports nothing.
        f32::INFINITY
    }
}

impl Thresholds {
    /// Of a class about which neither the configuration nor the model says anything.
    pub const FALLBACK: f32 = 0.4;

    /// The thresholds for a model's classes: of the label, else for all, else as the model suggests.
    ///
    /// # Errors
    /// The first label that the model doesn't have.
    pub fn resolve(&self, contract: &Contract) -> Result<ClassThresholds, UnknownLabel> {
        let names = &contract.names;
        let mut scores = match self.default {
            Some(score) => vec![score; names.len()],
            None => contract.thresholds.clone(),
        };
        for (label, score) in &self.labels {
            let mut found = false;
            // A model may give one name to several classes.
            for (class, _) in names.iter().enumerate().filter(|(_, name)| *name == label) {
                scores[class] = *score;
                found = true;
            }
            if !found {
                return Err(unknown(label, names));
            }
        }
        Ok(ClassThresholds::new(scores))
    }

    /// The same thresholds, with what the model suggests written out.
    ///
    /// # Errors
    /// The first label that the model doesn't have.
    pub fn written_out(&self, contract: &Contract) -> Result<Thresholds, UnknownLabel> {
        let resolved = self.resolve(contract)?;
        let scores = resolved.scores();
        if scores.iter().all(|score| *score == scores[0]) {
            return Ok(Thresholds { default: scores.first().copied(), labels: Vec::new() });
        }
        let labels = contract.names.iter().cloned().zip(scores.iter().copied()).collect();
        Ok(Thresholds { default: None, labels })
    }
}

/// Whether a model with these class names has all of the labels.
///
/// # Errors
/// The first one that it does not have.
pub fn known_labels<'a>(
    mut labels: impl Iterator<Item = &'a String>,
    names: &[String],
) -> Result<(), UnknownLabel> {
    labels.find(|label| !names.contains(label)).map_or(Ok(()), |label| Err(unknown(label, names)))
}

fn unknown(label: &str, names: &[String]) -> UnknownLabel {
    let folded = label.to_lowercase();
    let suggestion = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= (name.chars().count() / 3).max(1))
        .map(|(_, name)| name.clone());
    UnknownLabel { label: label.to_owned(), suggestion, known: names.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::{Input, Layout};
    use crate::geometry::Size;

    fn contract() -> Contract {
        Contract {
            names: ["person", "car", "cat"].map(String::from).to_vec(),
            thresholds: vec![0.3, 0.4, 0.6],
            size: Size::new(64, 64),
            input: Input::U8,
            input_name: String::new(),
            layout: Layout::Decoded { anchors: 84, classes: 3 },
            description: None,
        }
    }

    #[test]
    fn a_label_goes_before_the_default() {
        let asked = Thresholds { default: Some(0.5), labels: vec![("car".into(), 0.25)] };
        let resolved = asked.resolve(&contract()).unwrap();
        assert_eq!(resolved.scores(), [0.5, 0.25, 0.5]);
        assert_eq!(resolved.logits()[0], 0.0);
        assert!((resolved.logits()[1] + 3f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn what_nobody_asks_for_is_as_the_model_suggests() {
        let asked = Thresholds { default: None, labels: vec![("car".into(), 0.25)] };
        assert_eq!(asked.resolve(&contract()).unwrap().scores(), [0.3, 0.25, 0.6]);
    }

    #[test]
    fn written_out_they_are_the_same() {
        let asked = Thresholds { default: None, labels: vec![("car".into(), 0.25)] };
        let written = asked.written_out(&contract()).unwrap();
        assert_eq!(written.labels, [("person".into(), 0.3), ("car".into(), 0.25), ("cat".into(), 0.6)]);
        assert_eq!(written.resolve(&contract()), asked.resolve(&contract()));
        let same = Thresholds { default: Some(0.5), labels: vec![] };
        assert_eq!(same.written_out(&contract()).unwrap(), same);
    }

    #[test]
    fn an_unknown_label_gets_a_suggestion() {
        let asked = Thresholds { default: None, labels: vec![("Persn".into(), 0.25)] };
        let error = asked.resolve(&contract()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the model has no label `Persn`, did you mean `person`?; it has: person, car, cat"
        );
        let far = Thresholds { default: None, labels: vec![("zebra".into(), 0.25)] };
        assert_eq!(far.resolve(&contract()).unwrap_err().suggestion, None);
    }

    #[test]
    fn the_ends_of_the_scale_are_infinite() {
        let t = ClassThresholds::new(vec![0.0, 1.0, 1.5, f32::NAN]);
        assert_eq!(t.logits()[0], f32::NEG_INFINITY);
        assert!(t.logits()[1..].iter().all(|l| *l == f32::INFINITY));
    }
}
