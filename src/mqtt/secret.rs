//! Reads a [`Secret`] from its file or systemd credential.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::file;

/// MQTT gives the length of a password in 16 bits.
const MAX_BYTES: usize = 65535;

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A file, read at every connection, so that a changed password needs no restart; a trailing newline is not part
    /// of it.
    File(PathBuf),
    /// A systemd credential of that name, under `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl Secret {
    /// The secret itself.
    ///
    /// # Errors
    /// When the file or the credential can't be read, is empty, is not UTF-8, or is longer than MQTT allows.
    pub fn read(&self) -> Result<String, Error> {
        self.read_with(std::env::var_os("CREDENTIALS_DIRECTORY").as_deref().map(Path::new))
    }

    /// [`Secret::read`] with systemd's folder of credentials; `None`: there is none.
    pub(super) fn read_with(&self, credentials: Option<&Path>) -> Result<String, Error> {
        let path = match (self, credentials) {
            (Secret::File(path), _) => path.clone(),
            (Secret::Credential(name), Some(directory)) => directory.join(name),
            (Secret::Credential(name), None) => return Err(Error::NoCredentials { name: name.clone() }),
        };
        let bytes = match file::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(Error::Secret { path, source }),
        };
        let unusable = |problem| Err(Error::SecretUnusable { path, problem });
        let Ok(text) = String::from_utf8(bytes) else { return unusable("is not UTF-8 text") };
        let word = text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text);
        if word.is_empty() {
            return unusable("is empty");
        }
        if word.len() > MAX_BYTES {
            return unusable("has more than the 65535 bytes that mqtt allows");
        }
        Ok(word.to_owned())
    }

    /// A file that everybody may read is worth a word; systemd looks after its credentials itself.
    pub fn is_world_readable(&self) -> bool {
        match self {
            Secret::File(path) => fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0),
            Secret::Credential(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_newline_is_not_part_of_the_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, secret) in
            [("pass", "pass"), ("pass\n", "pass"), ("pass\r\n", "pass"), (" pa ss \n\n", " pa ss \n")]
        {
            fs::write(file.path(), text).unwrap();
            assert_eq!(Secret::File(file.path().into()).read().unwrap(), secret);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Secret::File("/nonexistent/mqtt-password".into()).read().unwrap_err().to_string();
        assert!(error.contains("/nonexistent/mqtt-password") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn what_is_no_password_is_refused_and_not_repeated() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bytes, problem) in [
            (&b"hunter\xf6\n"[..], "is not UTF-8 text"),
            (b"", "is empty"),
            (b"\r\n", "is empty"),
            (&[b'x'; 65536], "65535 bytes"),
            (&[b'x'; (1 << 20) + 1], "more than 1 MiB"),
        ] {
            fs::write(file.path(), bytes).unwrap();
            let error = Secret::File(file.path().into()).read().unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let error = Secret::File(pipe).read().unwrap_err().to_string();
        assert!(error.contains("no regular file"), "it would wait for a writer: {error}");
    }

    #[test]
    fn a_systemd_credential_is_a_file_in_the_units_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mqtt-password"), "word\n").unwrap();
        let secret = Secret::Credential("mqtt-password".into());
        assert_eq!(secret.read_with(Some(folder.path())).unwrap(), "word");
        let error = secret.read_with(None).unwrap_err().to_string();
        assert!(error.contains("LoadCredential=mqtt-password"), "{error}");
    }

    #[test]
    fn who_may_read_it_is_seen() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = Secret::File(file.path().into());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(!secret.is_world_readable());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(secret.is_world_readable());
    }
}
