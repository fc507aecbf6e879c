//! Which model a command runs, and how: arguments that several commands share.

use std::path::PathBuf;

use miette::miette;

use super::Failure;
use crate::config;
use crate::detector::{ClassThresholds, ContractOverride, Detector, Options, Thresholds};

/// Which model, and how it is run.
#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    /// The model's ONNX file; default: the shipped one
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Inference threads; 0: all cores up to two, otherwise all but one
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
    #[command(flatten)]
    contract: ContractArgs,
}

/// What the file of a model doesn't say, or says wrongly.
#[derive(Debug, clap::Args)]
pub struct ContractArgs {
    /// Class names, separated by commas, instead of those in the file
    #[arg(long, value_delimiter = ',')]
    names: Option<Vec<String>>,
    /// Input height and width in pixels, for a model of dynamic shapes
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"])]
    imgsz: Option<Vec<u32>>,
}

/// From which score on a detection is one.
#[derive(Debug, clap::Args)]
pub struct ScoreArgs {
    /// Least score, 0…1: for all labels (0.4), or for one (person=0.3); may be given several times; default: as the model
    /// suggests, else 0.4
    #[arg(long = "threshold", value_name = "[LABEL=]SCORE", value_parser = threshold)]
    thresholds: Vec<(String, f32)>,
}

fn threshold(text: &str) -> Result<(String, f32), String> {
    let (label, score) = text.rsplit_once('=').unwrap_or(("*", text));
    match score.parse::<f32>() {
        Ok(score) if (0.0..=1.0).contains(&score) => Ok((label.to_owned(), score)),
        _ => Err(format!("'{score}' is no score between 0 and 1")),
    }
}

impl ModelArgs {
    /// What the detector wants to know.
    ///
    /// # Errors
    /// When no model is named and none is installed.
    pub fn options(self) -> Result<Options, Failure> {
        let options = self.contract.options(self.model)?;
        Ok(Options { threads: self.threads, ..options })
    }
}

impl ContractArgs {
    /// The options of a model, the shipped one if none is named.
    ///
    /// # Errors
    /// When no model is named and none is installed.
    pub fn options(self, model: Option<PathBuf>) -> Result<Options, Failure> {
        let imgsz = self.imgsz.and_then(|sides| <[u32; 2]>::try_from(sides).ok());
        let path = model.or_else(config::shipped_model).ok_or_else(|| {
            Failure::Usage(miette!(
                help = format!("name one with --model, or its folder with {}", config::MODEL_DIR_VARIABLE),
                "there is no {}, neither in {} nor in ./models",
                config::MODEL_FILE,
                config::MODEL_DIR
            ))
        })?;
        Ok(Options { contract: ContractOverride { names: self.names, imgsz }, ..Options::new(path) })
    }
}

impl ScoreArgs {
    /// The thresholds for the model's classes; what is not given is as it is for the daemon.
    ///
    /// # Errors
    /// When a label is none of the model's.
    pub fn thresholds(&self, detector: &Detector) -> Result<ClassThresholds, Failure> {
        let mut thresholds = Thresholds::default();
        for (label, score) in &self.thresholds {
            if label == "*" {
                thresholds.default = Some(*score);
            } else {
                thresholds.labels.push((label.clone(), *score));
            }
        }
        thresholds.resolve(detector.contract()).map_err(Failure::usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_for_all_or_for_one_label() {
        assert_eq!(threshold("0.25"), Ok(("*".to_owned(), 0.25)));
        assert_eq!(threshold("person=0.3"), Ok(("person".to_owned(), 0.3)));
        assert!(threshold("person=1.5").is_err() && threshold("person").is_err());
    }
}
