//! Reads an ONNX file: bounded, hashed, decoded, and told apart from what people mistake for one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, type_proto};

use super::Error;
use super::weights;
use super::words::printable;

/// No larger file is read. YOLOv8x in fp32, too large for any board, has 273 MB.
pub const MAX_BYTES: u64 = 512 << 20;

/// An ONNX file, decoded.
pub struct ModelFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// What it says.
    pub(super) proto: ModelProto,
}

/// The type of a tensor's elements, as far as Vigie needs to tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Unsigned bytes.
    U8,
    /// Something else, by its ONNX number.
    Other(i32),
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Element::F32 => f.write_str("float32"),
            Element::F16 => f.write_str("float16"),
            Element::U8 => f.write_str("uint8"),
            Element::Other(code) => match DataType::try_from(*code) {
                Ok(known) => write!(f, "{}", format!("{known:?}").to_lowercase()),
                Err(_) => write!(f, "type {code}"),
            },
        }
    }
}

/// One dimension of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Known.
    Fixed(u64),
    /// Decided at run time, with the name that the exporter gave it.
    Dynamic(String),
}

impl std::fmt::Display for Dim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dim::Fixed(n) => write!(f, "{n}"),
            Dim::Dynamic(name) if name.is_empty() => f.write_str("?"),
            Dim::Dynamic(name) => f.write_str(name),
        }
    }
}

/// A graph's input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub element: Element,
    /// Its shape.
    pub shape: Vec<Dim>,
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(Dim::to_string).collect();
        write!(f, "{} {} {}", self.name, shape.join("x"), self.element)
    }
}

impl ModelFile {
    /// Reads, hashes and decodes a file.
    pub fn read(path: &Path) -> Result<ModelFile, Error> {
        let bytes = read_bounded(path)?;
        ModelFile::from_bytes(path, &bytes)
    }

    /// Decodes a file's bytes; `path` is only for messages.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<ModelFile, Error> {
        if let Some((found, hint)) = mistaken(bytes) {
            return Err(Error::NotOnnx { path: path.to_owned(), found, hint });
        }
        let proto = ModelProto::decode(bytes).map_err(|e| undecodable(path, bytes, &e.to_string()))?;
        let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let graph = proto.graph.as_ref().ok_or_else(|| damaged("it holds no graph".into()))?;
        if graph.node.is_empty() || graph.input.is_empty() || graph.output.is_empty() {
            return Err(damaged("its graph has no nodes, no inputs or no outputs".into()));
        }
        let constants = graph.node.iter().flat_map(|n| &n.attribute).filter_map(|a| a.t.as_ref());
        if let Some(tensor) = graph.initializer.iter().chain(constants).find(|t| is_external(t)) {
            let location = tensor.external_data.iter().find(|entry| entry.key == "location");
            return Err(Error::External {
                path: path.to_owned(),
                tensor: printable(&tensor.name, 80),
                beside: location.map_or("an unnamed one".to_owned(), |entry| printable(&entry.value, 80)),
            });
        }
        for tensor in &graph.initializer {
            check_initializer(tensor).map_err(|reason| damaged(printable(&reason, 400)))?;
        }
        weights::check(graph).map_err(|reason| damaged(printable(&reason, 400)))?;
        Ok(ModelFile { path: path.to_owned(), bytes: bytes.len() as u64, sha256: sha256(bytes), proto })
    }

    /// The graph; [`ModelFile::from_bytes`] made sure that there is one.
    pub(super) fn graph(&self) -> &GraphProto {
        static EMPTY: std::sync::LazyLock<GraphProto> = std::sync::LazyLock::new(GraphProto::default);
        self.proto.graph.as_ref().unwrap_or(&EMPTY)
    }

    /// A metadata entry.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.proto.metadata_props.iter().find(|p| p.key == key).map(|p| p.value.as_str())
    }

    /// What must be fed: the graph's inputs that no initializer fills.
    pub fn inputs(&self) -> Vec<Port> {
        let graph = self.graph();
        let filled = |name: &str| graph.initializer.iter().any(|t| t.name == name);
        graph.input.iter().filter(|i| !filled(&i.name)).map(port).collect()
    }

    /// What comes out, as declared.
    pub fn outputs(&self) -> Vec<Port> {
        self.graph().output.iter().map(port).collect()
    }

    /// The operators of the graph, those of graphs inside it included.
    pub(super) fn operators(&self) -> impl Iterator<Item = &str> {
        let mut graphs = vec![self.graph()];
        let mut nodes: Vec<&NodeProto> = Vec::new();
        while let Some(graph) = graphs.pop() {
            nodes.extend(&graph.node);
            let attributes = graph.node.iter().flat_map(|node| &node.attribute);
            graphs.extend(attributes.flat_map(|a| a.g.iter().chain(&a.graphs)));
        }
        nodes.into_iter().map(|node| &*node.op_type)
    }

    /// The version of the ONNX operators that the graph speaks.
    pub fn opset(&self) -> Option<i64> {
        let onnx = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        self.proto.opset_import.iter().find(|o| onnx(&o.domain)).map(|o| o.version)
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if meta.is_dir() {
        return Err(unreadable(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    let too_large = |bytes| Error::TooLarge { path: path.to_owned(), bytes, limit: MAX_BYTES };
    if meta.len() > MAX_BYTES {
        return Err(too_large(meta.len()));
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    // What grows while it is read, or is no regular file, is bounded too.
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

/// The SHA-256 of bytes, in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// Other files that end up in the place of an ONNX model, with the way out.
fn mistaken(bytes: &[u8]) -> Option<(String, &'static str)> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let tagged = |magic: &[u8]| bytes.get(4..8) == Some(magic);
    let (found, hint) = if bytes.is_empty() {
        ("it is empty", "copy it again")
    } else if starts(b"version https://git-lfs") {
        ("it is a Git LFS pointer", "fetch the file itself with `git lfs pull`")
    } else if starts(b"PK\x03\x04") {
        (
            "it looks like a PyTorch checkpoint (a ZIP archive)",
            "export it to ONNX first, for instance `yolo export format=onnx opset=17`",
        )
    } else if tagged(b"TFL3") {
        ("it is a TensorFlow Lite model", "export the model to ONNX instead")
    } else if tagged(b"ORTM") {
        ("it is in onnxruntime's own ORT format", "use the .onnx file that it was made from")
    } else if starts(b"\x89HDF") {
        ("it is an HDF5 file", "export the model to ONNX instead")
    } else if starts(b"7767517") {
        ("it is an ncnn parameter file", "use the .onnx file that it was made from")
    } else if starts(b"\x1f\x8b") {
        ("it is compressed with gzip", "unpack it with `gunzip`")
    } else if starts(b"<") {
        ("it is XML or HTML", "download the file itself; an OpenVINO model has to be exported to ONNX")
    } else {
        return None;
    };
    Some((found.to_owned(), hint))
}

/// Bytes that protobuf refuses: an ONNX file that lost its end, or no ONNX file at all.
fn undecodable(path: &Path, bytes: &[u8], reason: &str) -> Error {
    // Every exporter writes field 1, the IR version, first.
    let begins_like_onnx = bytes.first() == Some(&0x08) && bytes.get(1).is_some_and(|v| (3..32).contains(v));
    if begins_like_onnx {
        return Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    }
    let found = format!("it begins with the bytes {:02x?}", &bytes[..bytes.len().min(8)]);
    Error::NotOnnx { path: path.to_owned(), found, hint: "give the path of a .onnx file" }
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// A tensor whose shape and data disagree would make a runtime allocate what the file doesn't hold.
fn check_initializer(tensor: &TensorProto) -> Result<(), String> {
    let elements = tensor
        .dims
        .iter()
        .try_fold(1u64, |n, &d| u64::try_from(d).ok().and_then(|d| n.checked_mul(d)))
        .ok_or_else(|| format!("the tensor `{}` has the shape {:?}", tensor.name, tensor.dims))?;
    let held = (tensor.raw_data.len() + tensor.float_data.len() + tensor.int32_data.len()) as u64
        + (tensor.int64_data.len() + tensor.double_data.len() + tensor.uint64_data.len()) as u64
        + tensor.string_data.len() as u64;
    // Four-bit types hold two elements in a byte.
    if elements.div_ceil(2) > held {
        return Err(format!(
            "the tensor `{}` of shape {:?} holds {held} bytes or values",
            tensor.name, tensor.dims
        ));
    }
    Ok(())
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor =
        info.r#type.as_ref().and_then(|t| t.value.as_ref()).map(|type_proto::Value::TensorType(t)| t);
    let element = match tensor.map_or(0, |t| t.elem_type) {
        code if code == DataType::Float as i32 => Element::F32,
        code if code == DataType::Float16 as i32 => Element::F16,
        code if code == DataType::Uint8 as i32 => Element::U8,
        code => Element::Other(code),
    };
    let dims = tensor.and_then(|t| t.shape.as_ref()).map_or(&[][..], |s| &s.dim[..]);
    let dim = |value: &Option<dimension::Value>| match value {
        Some(dimension::Value::DimValue(n)) if *n > 0 => Dim::Fixed(*n as u64),
        Some(dimension::Value::DimParam(name)) => Dim::Dynamic(name.clone()),
        _ => Dim::Dynamic(String::new()),
    };
    Port { name: info.name.clone(), element, shape: dims.iter().map(|d| dim(&d.value)).collect() }
}

#[cfg(test)]
mod tests {
    use super::super::{Error, ErrorKind};
    use super::*;
    use proptest::prelude::*;

    fn error(bytes: &[u8]) -> Error {
        ModelFile::from_bytes(Path::new("m.onnx"), bytes).err().expect("not a model")
    }

    #[test]
    fn what_people_mistake_for_onnx_is_named() {
        for (bytes, word) in [
            (&b""[..], "empty"),
            (b"PK\x03\x04rest", "PyTorch"),
            (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
            (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
            (b"<!doctype html>", "HTML"),
            (b"\xff\xd8\xff\xe0", "begins with the bytes [ff, d8, ff, e0]"),
        ] {
            let error = error(bytes);
            assert_eq!(error.kind(), ErrorKind::Format);
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_graph_that_lies_about_its_tensors_is_damaged() {
        let node = tract_onnx::pb::NodeProto::default();
        let value = ValueInfoProto { name: "x".into(), ..Default::default() };
        let huge = TensorProto { name: "w".into(), dims: vec![1 << 40, 1 << 40], ..Default::default() };
        let graph = |t: TensorProto| GraphProto {
            node: vec![node.clone()],
            input: vec![value.clone()],
            output: vec![value.clone()],
            initializer: vec![t],
            ..Default::default()
        };
        let encode = |g| ModelProto { ir_version: 8, graph: Some(g), ..Default::default() }.encode_to_vec();
        assert!(error(&encode(graph(huge.clone()))).to_string().contains("has the shape"));
        let large = TensorProto { dims: vec![1 << 30], ..huge.clone() };
        assert!(error(&encode(graph(large))).to_string().contains("holds 0 bytes"));
        let external = TensorProto { data_location: Some(1), ..huge };
        let external = error(&encode(graph(external))).to_string();
        assert!(external.contains("save it as one file") && !external.contains("damaged"), "{external}");
        assert!(error(&[8, 8]).to_string().contains("no graph"));
    }

    #[test]
    fn a_folder_and_a_missing_file_are_told_apart() {
        let missing = ModelFile::read(Path::new("/nowhere/m.onnx")).err().unwrap();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ModelFile::read(folder.path()).err().unwrap().kind(), ErrorKind::Read);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..512), like_onnx in any::<bool>()) {
            if like_onnx && bytes.len() > 1 {
                bytes[..2].copy_from_slice(&[8, 8]);
            }
            let _ = ModelFile::from_bytes(Path::new("m.onnx"), &bytes);
        }
    }
}
