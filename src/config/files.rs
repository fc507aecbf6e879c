//! What a configuration takes from the machine around it: the host's name, the shipped model, files that must be there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::name::TopicPart;

/// The file name of the shipped model.
pub const MODEL_FILE: &str = "vigie-xxs-320-int8.onnx";

/// The environment variable that names another folder of models.
pub const MODEL_DIR_VARIABLE: &str = "VIGIE_MODEL_DIR";

/// Where the package puts the models.
pub const MODEL_DIR: &str = "/usr/share/vigie/models";

/// A larger key or certificate file is none.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// What is looked up outside of the file.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The device's name if the file gives none.
    pub device: String,
    /// Where the shipped model may be, in this order.
    pub model_dirs: Vec<PathBuf>,
    /// Where systemd puts credentials; `None` outside of a service.
    pub credentials: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    pub(super) fn of_this_process() -> Surroundings {
        let host = rustix::system::uname();
        Surroundings {
            device: device_name(&host.nodename().to_string_lossy()),
            model_dirs: model_dirs(std::env::var_os(MODEL_DIR_VARIABLE), std::env::current_exe().ok()),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        }
    }

    /// The shipped model, from the first of the folders that has it.
    pub(super) fn model(&self) -> Option<PathBuf> {
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

/// Whether there is a file that can be read; a folder, a pipe or a device is none.
pub(super) fn readable_file(path: &Path) -> Result<(), String> {
    open(path).map(drop)
}

/// Whether there is a file, or a folder that can be listed.
pub(super) fn readable_file_or_folder(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        fs::read_dir(path).map(drop).map_err(|error| say(path, &error))
    } else {
        readable_file(path)
    }
}

/// Whether a file holds a certificate in PEM form.
pub(super) fn certificates(path: &Path) -> Result<(), String> {
    let pem = bytes(path)?;
    let count = CertificateDer::pem_slice_iter(&pem).try_fold(0, |n, certificate| certificate.map(|_| n + 1));
    match count {
        Ok(0) => {
            Err(format!("{} has no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)", path.display()))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} is no PEM file: {error}", path.display())),
    }
}

/// Whether a file holds a private key in PEM form.
pub(super) fn private_key(path: &Path) -> Result<(), String> {
    match PrivateKeyDer::from_pem_slice(&bytes(path)?) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} has no private key in PEM form: {error}", path.display())),
    }
}

/// Whether a file holds a password.
pub(super) fn password(path: &Path) -> Result<(), String> {
    let text = bytes(path)?;
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    if text.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(()) }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    open(path)?.take(MAX_PEM_BYTES).read_to_end(&mut bytes).map_err(|error| say(path, &error))?;
    Ok(bytes)
}

/// Opens a regular file; asks first, because opening a pipe waits for its other end.
fn open(path: &Path) -> Result<File, String> {
    let kind = fs::metadata(path).map_err(|error| say(path, &error))?.file_type();
    if kind.is_dir() {
        return Err(format!("{} is a folder, not a file", path.display()));
    }
    if !kind.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    File::open(path).map_err(|error| say(path, &error))
}

fn say(path: &Path, error: &io::Error) -> String {
    format!("{} {}", path.display(), predicate(error))
}

/// An input error as what can be said of a file.
pub(super) fn predicate(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "is a folder, not a file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// What to do about a file that cannot be used.
pub(super) fn hint(path: &Path) -> Option<String> {
    if path.is_relative() {
        let here = std::env::current_dir().ok()?;
        return Some(format!("a relative path starts at the working directory, which is {}", here.display()));
    }
    match File::open(path).err()?.kind() {
        io::ErrorKind::NotFound => Some("correct the path, or put the file there".to_owned()),
        io::ErrorKind::PermissionDenied => {
            Some("run as the service's user, or let that user read it (chown, chmod)".to_owned())
        }
        _ => None,
    }
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
