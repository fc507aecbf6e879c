//! What can go wrong with a model.

use std::path::PathBuf;

/// Why a model can't be loaded or run. The message says what was tried, the value, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("can't read model {}: {source}; check the path under [model] and the file's permissions", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is larger than any model for a board.
    #[error(
        "model {} has {bytes} bytes, more than the {limit} that a model may have; is this really an ONNX detector?",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file is something else.
    #[error("{} is not an ONNX model: {found}; {hint}", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What it looks like.
        found: String,
        /// What to do.
        hint: &'static str,
    },
    /// The file begins like ONNX and then makes no sense.
    #[error(
        "model {} is cut short or damaged ({reason}); copy it again and compare its SHA-256 with the source's",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The weights are not in the file.
    #[error(
        "model {} keeps its weights in another file ({tensor} in {beside}); save it as one file, in Python: \
         onnx.save(onnx.load('model.onnx'), 'one.onnx')",
        path.display()
    )]
    External {
        /// The file.
        path: PathBuf,
        /// A tensor that isn't in it.
        tensor: String,
        /// Where the tensor is, as the model says.
        beside: String,
    },
    /// The model is sound but not a detector that Vigie can drive.
    #[error("model {} {problem}; {hint}", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// Which part of the contract.
        kind: ContractKind,
        /// What is wrong, as the rest of a sentence whose subject is the model.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The runtime doesn't take the graph.
    #[error("model {} can't be prepared to run: {reason}; export it with opset 17 and fixed shapes", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The runtime's words.
        reason: String,
    },
    /// The model computes something else on this machine than where it was made.
    #[error(
        "model {} computes wrong results on this machine ({reason}); it will not be used. Check its SHA-256, and \
         report the processor and the model if they match",
        path.display()
    )]
    Golden {
        /// The file.
        path: PathBuf,
        /// How far off.
        reason: String,
    },
    /// The system gives no more threads, or not the cores that were named.
    #[error(
        "can't start {count} inference threads: {reason}; set `threads` and `cores` under [model] to what the machine \
         has, or raise its limits (`TasksMax=` and `CPUAffinity=` of the service)"
    )]
    Threads {
        /// How many were asked for.
        count: usize,
        /// The system's words.
        reason: String,
    },
    /// The tensor is not of the model's size.
    #[error("the model looks at {expected} pixels, the tensor has {found}")]
    Input {
        /// The model's input size.
        expected: crate::geometry::Size,
        /// The tensor's.
        found: crate::geometry::Size,
    },
    /// Inference failed.
    #[error("inference failed: {reason}")]
    Run {
        /// The runtime's words.
        reason: String,
    },
}

/// Which part of a model's contract is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContractKind {
    /// It isn't a detector.
    Task,
    /// Its input isn't one that Vigie can fill.
    Input,
    /// Its shapes are not fixed.
    DynamicShape,
    /// Its outputs have a layout that Vigie doesn't know.
    Layout,
    /// Its class names are missing, malformed, or of the wrong number.
    Names,
    /// Another metadata entry is malformed.
    Metadata,
}

/// What kind of failure an [`Error`] is, for those who act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such file.
    NotFound,
    /// The file can't be read.
    Read,
    /// The file is no ONNX model, or a damaged one.
    Format,
    /// The model isn't a detector that Vigie can drive.
    Contract(ContractKind),
    /// The runtime doesn't take it.
    Unsupported,
    /// It computes wrong results here.
    Golden,
    /// The system gives no more threads, or not the cores that were named.
    Threads,
    /// A tensor of the wrong size.
    Input,
    /// Inference failed.
    Run,
}

impl Error {
    /// What kind it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                ErrorKind::NotFound
            }
            Error::Read { .. } => ErrorKind::Read,
            Error::TooLarge { .. }
            | Error::NotOnnx { .. }
            | Error::Damaged { .. }
            | Error::External { .. } => ErrorKind::Format,
            Error::Contract { kind, .. } => ErrorKind::Contract(*kind),
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Golden { .. } => ErrorKind::Golden,
            Error::Threads { .. } => ErrorKind::Threads,
            Error::Input { .. } => ErrorKind::Input,
            Error::Run { .. } => ErrorKind::Run,
        }
    }
}
