//! What can go wrong with a source, and what that means for trying again.

use std::io;
use std::path::Path;
use std::time::Duration;

/// What kind of trouble a source is in; decides how soon it is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such device or file.
    NotFound,
    /// A device node that pictures can't be captured from (metadata, output, codec, radio).
    NotCapture,
    /// Somebody else has it, or the bus has no room for it.
    Busy,
    /// It went away while it was open.
    Lost,
    /// It is there, but no frame came for too long.
    Stalled,
    /// Frames come, but their pictures can't be decoded.
    Unreadable,
    /// It offers nothing that Vigie understands.
    Unsupported,
    /// This user may not open it.
    Permission,
    /// The driver or the disk failed.
    Io,
    /// A file whose content is no picture or clip.
    BadInput,
}

/// How eagerly a source is tried again; the delay doubles up to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first delay.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
}

impl ErrorKind {
    /// How eagerly to try again. What comes back by itself (a plug, a driver's hiccup) is tried often; what needs a
    /// person is tried now and then, because a person may have come.
    pub const fn retry(self) -> Retry {
        let (first_ms, longest_s) = match self {
            ErrorKind::Lost | ErrorKind::Io | ErrorKind::Stalled | ErrorKind::Unreadable => (250, 30),
            ErrorKind::NotFound => (500, 5),
            ErrorKind::Busy => (1000, 15),
            ErrorKind::NotCapture | ErrorKind::Unsupported | ErrorKind::Permission | ErrorKind::BadInput => {
                (2000, 60)
            }
        };
        Retry { first: Duration::from_millis(first_ms), longest: Duration::from_secs(longest_s) }
    }

    /// The kind as it stands in messages and metrics, for instance `not-found`.
    pub const fn name(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "not-found",
            ErrorKind::NotCapture => "not-capture",
            ErrorKind::Busy => "busy",
            ErrorKind::Lost => "lost",
            ErrorKind::Stalled => "stalled",
            ErrorKind::Unreadable => "unreadable",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Permission => "permission",
            ErrorKind::Io => "io",
            ErrorKind::BadInput => "bad-input",
        }
    }
}

/// Why a source can't be opened or can't go on.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .cause.as_ref().map(|e| format!(": {}", describe(e))).unwrap_or_default())]
pub struct Error {
    kind: ErrorKind,
    what: String,
    hint: Option<String>,
    cause: Option<io::Error>,
}

impl Error {
    /// An error of that kind; `what` says in lower case what was tried, with the value.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Error {
        Error { kind, what: what.into(), hint: None, cause: None }
    }

    /// An error that the system reported, of the kind that its code stands for.
    pub fn io(what: impl Into<String>, cause: io::Error) -> Error {
        Error { kind: kind_of(&cause), what: what.into(), hint: None, cause: Some(cause) }
    }

    /// A file that can't be opened or read.
    pub(crate) fn file(verb: &str, path: &Path, cause: io::Error) -> Error {
        Error::io(format!("cannot {verb} {}", path.display()), cause)
    }

    /// The same error with advice on what to do.
    pub fn with_hint(self, hint: impl Into<String>) -> Error {
        Error { hint: Some(hint.into()), ..self }
    }

    /// The same error as another kind, where the place knows better than the system's code.
    pub fn with_kind(self, kind: ErrorKind) -> Error {
        Error { kind, ..self }
    }

    /// The same error, with the file that it is about.
    pub(crate) fn in_file(self, path: &Path) -> Error {
        Error { what: format!("{}: {}", path.display(), self.what), ..self }
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The system's error code, if the system reported it.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.as_ref().and_then(io::Error::raw_os_error)
    }
}

/// The system's words without Rust's "(os error 5)", in lower case.
fn describe(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        // Only a word is put in lower case: "I/O error" and "EOF" stay what they are.
        Some(first) if chars.as_str().starts_with(|c: char| c.is_ascii_lowercase()) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// What a code from an open, a read or an ioctl means for trying again.
fn kind_of(e: &io::Error) -> ErrorKind {
    match e.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => ErrorKind::NotFound,
        Some(libc::EACCES | libc::EPERM) => ErrorKind::Permission,
        // ENOSPC is what the USB stack says when the bus has no bandwidth left.
        Some(libc::EBUSY | libc::ENOSPC) => ErrorKind::Busy,
        Some(libc::ENODEV | libc::ENXIO) => ErrorKind::Lost,
        Some(libc::ENOTTY | libc::EPIPE | libc::ENOLINK) => ErrorKind::Unsupported,
        None if e.kind() == io::ErrorKind::UnexpectedEof => ErrorKind::BadInput,
        _ => ErrorKind::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_code_decides_the_kind_and_its_words_stay_readable() {
        let e = Error::io("cannot open /dev/video9", io::Error::from_raw_os_error(libc::ENOENT));
        assert_eq!(e.kind(), ErrorKind::NotFound);
        assert_eq!(e.to_string(), "cannot open /dev/video9: no such file or directory");
        let e = Error::io("cannot take a frame", io::Error::from_raw_os_error(libc::ENODEV));
        assert_eq!(e.kind(), ErrorKind::Lost);
        let e = Error::io("cannot take a frame", io::Error::from_raw_os_error(libc::EIO))
            .with_hint("reseat the cable");
        assert_eq!((e.kind(), e.hint()), (ErrorKind::Io, Some("reseat the cable")));
        assert_eq!(e.to_string(), "cannot take a frame: Input/output error".replace('I', "i"));
    }

    #[test]
    fn every_kind_waits_before_it_tries_again() {
        for kind in [ErrorKind::Lost, ErrorKind::NotFound, ErrorKind::Busy, ErrorKind::Unsupported] {
            let retry = kind.retry();
            assert!(retry.first >= Duration::from_millis(100), "{kind:?} would spin");
            assert!(retry.longest > retry.first && retry.longest <= Duration::from_secs(60));
        }
    }
}
