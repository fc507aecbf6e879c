//! What a configuration takes from the machine around it: the host's name, the folders of models and of credentials.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::read::TopicPart;
use crate::timezone::Timezone;

/// The file name of the shipped model.
pub const MODEL_FILE: &str = "vigie-xxs-320-int8.onnx";

/// The environment variable that names another folder of models.
pub const MODEL_DIR_VARIABLE: &str = "VIGIE_MODEL_DIR";

/// Where the package puts the models.
pub const MODEL_DIR: &str = "/usr/share/vigie/models";

/// What is looked up outside of the file.
#[derive(Clone, Debug)]
pub(in crate::config) struct Surroundings {
    /// The device's name if the file gives none.
    pub device: String,
    /// Where the shipped model may be, in this order.
    pub model_dirs: Vec<PathBuf>,
    /// Where systemd puts credentials; `None` outside of a service.
    pub credentials: Option<PathBuf>,
    /// The host's time zone.
    pub timezone: Timezone,
}

impl Surroundings {
    /// Those of this process.
    pub(in crate::config) fn of_this_process() -> Surroundings {
        let host = rustix::system::uname();
        Surroundings {
            device: device_name(&host.nodename().to_string_lossy()),
            model_dirs: model_dirs(std::env::var_os(MODEL_DIR_VARIABLE), std::env::current_exe().ok()),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            timezone: Timezone::of_the_host(),
        }
    }

    /// The shipped model, from the first of the folders that has it.
    pub(in crate::config) fn model(&self) -> Option<PathBuf> {
        self.model_dirs.iter().map(|dir| dir.join(MODEL_FILE)).find(|file| file.is_file())
    }
}

/// The shipped model: [`MODEL_FILE`] in `$VIGIE_MODEL_DIR` if that is set (and then nowhere else), or else in
/// [`MODEL_DIR`], or else in `share/vigie/models` beside the `bin` that the program is in, or else, in a checkout, in
/// `./models`.
pub fn shipped_model() -> Option<PathBuf> {
    Surroundings::of_this_process().model()
}

fn model_dirs(variable: Option<OsString>, program: Option<PathBuf>) -> Vec<PathBuf> {
    if let Some(dir) = variable.filter(|dir| !dir.is_empty()) {
        return vec![PathBuf::from(dir)];
    }
    let mut dirs = vec![PathBuf::from(MODEL_DIR)];
    // `make install PREFIX=…` puts program and models below one folder.
    let bin = program.as_deref().and_then(Path::parent).filter(|dir| dir.ends_with("bin"));
    dirs.extend(
        bin.map(|bin| bin.with_file_name("share/vigie/models")).filter(|dir| dir != Path::new(MODEL_DIR)),
    );
    dirs.push(PathBuf::from("models"));
    dirs
}

/// A host's name up to the first dot, made a level of a topic.
fn device_name(host: &str) -> String {
    let short = host.split('.').next().unwrap_or_default();
    let name: String =
        short.chars().map(|c| if TopicPart::allows(c) { c } else { '-' }).take(TopicPart::MAX).collect();
    if name.is_empty() { "vigie".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_name_becomes_a_topic_level() {
        assert_eq!(device_name("porch.example.org"), "porch");
        assert_eq!(device_name("büro pi"), "b-ro-pi");
        assert_eq!(device_name(""), "vigie");
        assert_eq!(device_name(&"x".repeat(100)).len(), TopicPart::MAX);
    }

    #[test]
    fn the_variable_replaces_the_other_folders() {
        assert_eq!(model_dirs(Some("/m".into()), Some("/opt/vigie/bin/vigie".into())), [PathBuf::from("/m")]);
        let usual = [MODEL_DIR, "models"].map(PathBuf::from);
        assert_eq!(model_dirs(None, None), usual);
        assert_eq!(model_dirs(Some("".into()), Some("/usr/bin/vigie".into())), usual);
        assert_eq!(model_dirs(None, Some("/src/target/release/vigie".into())), usual);
        let below = [MODEL_DIR, "/opt/vigie/share/vigie/models", "models"].map(PathBuf::from);
        assert_eq!(model_dirs(None, Some("/opt/vigie/bin/vigie".into())), below);
    }
}
