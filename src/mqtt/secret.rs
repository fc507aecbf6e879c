//! Reads a [`Secret`] from its file or systemd credential.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::error::Error;

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
    pub fn read(&self) -> Result<String, Error> {
        self.read_with(std::env::var_os("CREDENTIALS_DIRECTORY"))
    }

    fn read_with(&self, credentials: Option<OsString>) -> Result<String, Error> {
        let path = match (self, credentials) {
            (Secret::File(path), _) => path.clone(),
            (Secret::Credential(name), Some(directory)) => PathBuf::from(directory).join(name),
            (Secret::Credential(name), None) => return Err(Error::NoCredentials { name: name.clone() }),
        };
        let text = fs::read_to_string(&path).map_err(|source| Error::Secret { path, source })?;
        Ok(text.strip_suffix('\n').map(|t| t.strip_suffix('\r').unwrap_or(t)).unwrap_or(&text).to_owned())
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
    fn a_systemd_credential_is_a_file_in_the_units_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mqtt-password"), "word\n").unwrap();
        let secret = Secret::Credential("mqtt-password".into());
        assert_eq!(secret.read_with(Some(folder.path().into())).unwrap(), "word");
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
