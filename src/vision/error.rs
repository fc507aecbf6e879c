//! What can be wrong with a picture, in words that help, and the kinds that a caller may act on.

use std::path::PathBuf;

use crate::frame::PixelFormat;
use crate::geometry::Size;

/// A picture that could not become a tensor, a frame or a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read picture {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write picture {path}: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something is wrong with the picture in this file.
    #[error("picture {path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// The bytes are no picture that this program knows.
    #[error("neither a JPEG nor a PNG: it {found}; convert it to one of them")]
    NotAPicture {
        /// What it is or starts with.
        found: String,
    },
    /// A compressed picture that ends too early.
    #[error("the {format} is truncated ({bytes} bytes): {detail}")]
    TruncatedPicture {
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// How many bytes there were.
        bytes: usize,
        /// What the decoder said.
        detail: String,
    },
    /// A compressed picture whose bytes contradict its format.
    #[error("the {format} is corrupt: {detail}")]
    Corrupt {
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// What the decoder said.
        detail: String,
    },
    /// A picture that would take more memory than a picture should.
    #[error("the picture is {size}, more than {limit}: scale it down first")]
    TooLarge {
        /// Its size.
        size: Size,
        /// What is allowed, in words.
        limit: &'static str,
    },
    /// A frame that holds fewer bytes than its size and strides ask for.
    #[error("the {format} frame of {size} is truncated: {got} bytes, its layout needs {needed}")]
    ShortFrame {
        /// Its format.
        format: PixelFormat,
        /// Its size.
        size: Size,
        /// The bytes there are.
        got: usize,
        /// The bytes there should be.
        needed: usize,
    },
    /// A frame whose description makes no sense.
    #[error("the {format} frame of {size} makes no sense: {detail}")]
    Layout {
        /// Its format.
        format: PixelFormat,
        /// Its size.
        size: Size,
        /// What does not.
        detail: String,
    },
    /// A picture could not be compressed.
    #[error("cannot write a {format} of {size}: {detail}")]
    Encode {
        /// `JPEG` or `PNG`.
        format: &'static str,
        /// The picture's size.
        size: Size,
        /// What the encoder said.
        detail: String,
    },
}

/// What a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Reading or writing failed.
    Io,
    /// These bytes are no picture.
    NotAPicture,
    /// The picture or frame ends too early; the next one may be whole.
    Truncated,
    /// The picture's bytes contradict its format; the next one may be whole.
    Corrupt,
    /// The picture is larger than allowed.
    TooLarge,
    /// The frame's description contradicts itself: its maker has a bug.
    Layout,
    /// The picture could not be compressed.
    Encode,
}

impl Error {
    /// What went wrong, coarsely.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Read { .. } | Error::Write { .. } => ErrorKind::Io,
            Error::File { source, .. } => source.kind(),
            Error::NotAPicture { .. } => ErrorKind::NotAPicture,
            Error::TruncatedPicture { .. } | Error::ShortFrame { .. } => ErrorKind::Truncated,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::TooLarge { .. } => ErrorKind::TooLarge,
            Error::Layout { .. } => ErrorKind::Layout,
            Error::Encode { .. } => ErrorKind::Encode,
        }
    }
}
