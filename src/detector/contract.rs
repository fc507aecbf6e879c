//! The contract of a model: what it is fed, what comes out, what its classes are called.
//!
//! It is read from the ONNX file: `metadata_props` as Ultralytics writes them (`names`, `imgsz`, `task`), Vigie's own
//! keys (`vigie.layout`, `vigie.thresholds`), and the shapes of inputs and outputs. What the user says in the
//! configuration goes first.

use super::error::ContractKind;
use super::file::{Dim, Element, ModelFile, Port};
use super::layout::{self, Layout, Output};
use super::literal::Literal;
use super::words::{is_printable, printable};
use super::{ContractOverride, Error, Thresholds};
use crate::geometry::Size;

/// No model looks at larger pictures than this, in either direction.
const MAX_SIDE: u32 = 4096;
/// A class's index has 16 bits.
const MAX_CLASSES: usize = 65_535;
/// Longer names, in characters, are no names.
const MAX_NAME: usize = 100;

/// What a model is fed: `1 × 3 × height × width`, R G B planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Bytes, 0…255; the graph scales them itself.
    U8,
    /// 16-bit floats, 0…1.
    F16,
    /// 32-bit floats, 0…1.
    F32,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Input::U8 => "uint8 0..255",
            Input::F16 => "float16 0..1",
            Input::F32 => "float32 0..1",
        })
    }
}

/// What a model is fed, what comes out, and what its classes are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    /// The class names, by class index.
    pub names: Vec<String>,
    /// By class index: from which score on a detection is one, where the user says nothing; what the file suggests.
    pub thresholds: Vec<f32>,
    /// The size of the pictures that it looks at.
    pub size: Size,
    /// The type of what it is fed.
    pub input: Input,
    /// The name of the graph's input.
    pub input_name: String,
    /// How its outputs are laid out.
    pub layout: Layout,
    /// What the file says of itself, for people.
    pub description: Option<String>,
}

/// The part of the contract that is known before the graph is analysed.
#[derive(Debug)]
pub(super) struct Fed {
    pub name: String,
    pub input: Input,
    pub size: Size,
}

/// Makes errors about one file.
struct Complaint<'a>(&'a ModelFile);

impl Complaint<'_> {
    fn of(&self, kind: ContractKind, problem: impl Into<String>, hint: impl Into<String>) -> Error {
        let problem = printable(&problem.into(), 600);
        Error::Contract { path: self.0.path.clone(), kind, problem, hint: hint.into() }
    }
}

/// What the model is fed.
pub(super) fn fed(file: &ModelFile, overrides: &ContractOverride) -> Result<Fed, Error> {
    let complaint = Complaint(file);
    if let Some(task) = file.metadata("task").filter(|t| *t != "detect") {
        let problem = format!("was made for the task `{task}`, not for detection");
        return Err(complaint.of(
            ContractKind::Task,
            problem,
            "use a model that was trained with task=detect",
        ));
    }
    if let Some(operator) =
        file.operators().find(|op| op.contains("NonMaxSuppression") || op.starts_with("EfficientNMS"))
    {
        let problem = format!("has a non-maximum suppression inside (the operator {operator})");
        let hint = "export it with nms=False: Vigie removes doubles itself, by nms_iou under [model]";
        return Err(complaint.of(ContractKind::Layout, problem, hint));
    }
    let inputs = file.inputs();
    let [port] = &inputs[..] else {
        let listed: Vec<String> = inputs.iter().map(Port::to_string).collect();
        let problem = format!("has {} inputs ({}) where a detector has one", inputs.len(), listed.join(", "));
        return Err(complaint.of(ContractKind::Input, problem, "export the detector alone"));
    };
    let input = match port.element {
        Element::U8 => Input::U8,
        Element::F16 => Input::F16,
        Element::F32 => Input::F32,
        Element::Other(_) => {
            let problem = format!("takes {}, which is neither float32, float16 nor uint8", port);
            return Err(complaint.of(ContractKind::Input, problem, "export it with a float32 input"));
        }
    };
    let said = said_size(file, overrides)?;
    Ok(Fed { name: port.name.clone(), input, size: size(&complaint, port, said, overrides)? })
}

/// The input size that the user or the metadata says, as `[height, width]`.
fn said_size(file: &ModelFile, overrides: &ContractOverride) -> Result<Option<[u32; 2]>, Error> {
    if overrides.imgsz.is_some() {
        return Ok(overrides.imgsz);
    }
    let Some(text) = file.metadata("imgsz") else { return Ok(None) };
    let side = |l: &Literal| l.as_int().and_then(|n| u32::try_from(n).ok());
    let size = match Literal::parse(text) {
        Ok(Literal::List(sides)) => match &sides[..] {
            [h, w] => side(h).zip(side(w)).map(|(h, w)| [h, w]),
            [n] => side(n).map(|n| [n, n]),
            _ => None,
        },
        Ok(n) => side(&n).map(|n| [n, n]),
        Err(_) => None,
    };
    size.map(Some).ok_or_else(|| {
        let problem = format!("has the metadata imgsz = {text:?}, which is no [height, width]");
        Complaint(file).of(ContractKind::Metadata, problem, "say imgsz = [height, width] under [model]")
    })
}

/// The size, from the input's shape where that is fixed, else from what was said.
fn size(
    complaint: &Complaint<'_>,
    port: &Port,
    said: Option<[u32; 2]>,
    overrides: &ContractOverride,
) -> Result<Size, Error> {
    let wrong = |why: &str| {
        let problem = format!("takes {port}: {why}");
        complaint.of(
            ContractKind::Input,
            problem,
            "Vigie feeds one picture as 1x3xHEIGHTxWIDTH; export it so",
        )
    };
    let [batch, channels, height, width] = &port.shape[..] else { return Err(wrong("not four dimensions")) };
    if matches!(width, Dim::Fixed(1 | 3)) && !matches!(channels, Dim::Fixed(3)) {
        return Err(wrong("the channels are last"));
    }
    if matches!(channels, Dim::Fixed(n) if *n != 3) {
        return Err(wrong("not three colour channels"));
    }
    if matches!(batch, Dim::Fixed(n) if *n != 1) {
        return Err(wrong("a batch of several pictures"));
    }
    let size = match (height, width) {
        (Dim::Fixed(h), Dim::Fixed(w)) => {
            let fixed = u32::try_from(*h).ok().zip(u32::try_from(*w).ok()).map(|(h, w)| [h, w]);
            let fixed = fixed.ok_or_else(|| wrong("too large"))?;
            if let Some(said) = overrides.imgsz.filter(|said| *said != fixed) {
                let problem = format!(
                    "is exported for {}x{} pixels, not for {}x{}",
                    fixed[1], fixed[0], said[1], said[0]
                );
                let hint = "leave imgsz out, or export the model for that size";
                return Err(complaint.of(ContractKind::Input, problem, hint));
            }
            fixed
        }
        // Metadata alone don't pin a dynamic export: the user has to say which size the board can afford.
        _ => overrides.imgsz.ok_or_else(|| {
            let problem = format!("has dynamic shapes ({port})");
            let [h, w] = said.unwrap_or([320, 320]);
            let hint = format!(
                "export it with fixed shapes (dynamic=False), or say imgsz = [{h}, {w}] under [model] (on the command line: \
                 --imgsz {h} {w})"
            );
            complaint.of(ContractKind::DynamicShape, problem, hint)
        })?,
    };
    let [h, w] = size;
    if !(32..=MAX_SIDE).contains(&h) || !(32..=MAX_SIDE).contains(&w) {
        return Err(wrong(&format!("sides must be between 32 and {MAX_SIDE}")));
    }
    Ok(Size::new(w, h))
}

/// The whole contract, once the outputs' shapes are known.
pub(super) fn complete(
    file: &ModelFile,
    overrides: &ContractOverride,
    fed: &Fed,
    outputs: &[Output],
    input: Input,
) -> Result<Contract, Error> {
    let complaint = Complaint(file);
    let named = match &overrides.names {
        Some(names) => Some(names.clone()),
        None => file.metadata("names").map(|text| names(&complaint, text)).transpose()?,
    };
    let layout =
        layout::recognize(file.metadata("vigie.layout"), outputs, fed.size, named.as_ref().map(Vec::len))
            .map_err(|e| complaint.of(e.kind, e.problem, e.hint))?;
    let classes = layout.classes();
    let Some(names) = named else {
        let problem =
            format!("doesn't say what its {classes} classes are called (no `names` in its metadata)");
        return Err(complaint.of(ContractKind::Names, problem, "say names = [\"…\", …] under [model]"));
    };
    if names.len() != classes || names.len() > MAX_CLASSES {
        let whose = if overrides.names.is_some() { "the configuration" } else { "its metadata" };
        let problem = format!("has {classes} classes, but {whose} names {}", names.len());
        return Err(complaint.of(
            ContractKind::Names,
            problem,
            "give one name for each class, in their order",
        ));
    }
    // Nobody reads a file's metadata before it runs; what the user says was said on purpose, two classes of one name too.
    if overrides.names.is_none() {
        sound(&complaint, &names)?;
    }
    let thresholds = match file.metadata("vigie.thresholds") {
        Some(text) => thresholds(&complaint, text, classes)?,
        None => vec![Thresholds::FALLBACK; classes],
    };
    Ok(Contract {
        names,
        thresholds,
        size: fed.size,
        input,
        input_name: fed.name.clone(),
        layout,
        description: file.metadata("description").filter(|d| !d.is_empty()).map(str::to_owned),
    })
}

/// The thresholds that a file suggests: a list, one score for each class.
fn thresholds(complaint: &Complaint<'_>, text: &str, classes: usize) -> Result<Vec<f32>, Error> {
    let scores = match Literal::parse(text) {
        Ok(Literal::List(scores)) => scores.iter().map(Literal::as_float).collect::<Option<Vec<f64>>>(),
        _ => None,
    };
    let fitting = scores.filter(|s| s.len() == classes && s.iter().all(|score| (0.0..=1.0).contains(score)));
    let scores = fitting.ok_or_else(|| {
        let problem = format!(
            "has the metadata vigie.thresholds = {text:?}, which is no list of {classes} scores from 0 to 1"
        );
        complaint.of(
            ContractKind::Metadata,
            problem,
            "take them out, or write them anew with vigie-thresholds",
        )
    })?;
    Ok(scores.into_iter().map(|score| score as f32).collect())
}

/// Names are shown on terminals, parts of topics, and told apart by people.
fn sound(complaint: &Complaint<'_>, names: &[String]) -> Result<(), Error> {
    let wrong = |class: usize, what: &str, hint: &str| {
        let problem = format!("names class {class} `{}`, {what}", printable(&names[class], MAX_NAME));
        complaint.of(ContractKind::Names, problem, hint)
    };
    let hint = "mend `names` in its metadata, or say names = [\"…\", …] under [model]";
    let mut seen = std::collections::HashMap::new();
    for (class, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(wrong(class, "which is no name", hint));
        }
        if !name.chars().all(is_printable) {
            return Err(wrong(class, "which holds control characters", hint));
        }
        if name.chars().nth(MAX_NAME).is_some() {
            return Err(wrong(class, &format!("longer than {MAX_NAME} characters"), hint));
        }
        if let Some(first) = seen.insert(name, class) {
            return Err(wrong(
                class,
                &format!("as class {first}"),
                "give each its own name; names under [model] that are alike count several classes as one",
            ));
        }
    }
    Ok(())
}

/// Class names from metadata: `{0: 'person', …}` in any order, or a list.
fn names(complaint: &Complaint<'_>, text: &str) -> Result<Vec<String>, Error> {
    let wrong = |why: String| {
        let problem = format!("has malformed `names` in its metadata: {why}");
        complaint.of(ContractKind::Names, problem, "say names = [\"…\", …] under [model]")
    };
    let literal = Literal::parse(text).map_err(|e| wrong(e.to_string()))?;
    let string =
        |l: &Literal| l.as_str().map(str::to_owned).ok_or_else(|| wrong("a name is no string".into()));
    match literal {
        Literal::List(items) => items.iter().map(string).collect(),
        Literal::Dict(items) => {
            let mut names = vec![None; items.len().min(MAX_CLASSES + 1)];
            for (key, value) in &items {
                // JSON has only strings as keys.
                let index = key.as_int().or_else(|| key.as_str().and_then(|s| s.parse().ok()));
                let index = index.and_then(|i| usize::try_from(i).ok()).filter(|i| *i < names.len());
                let index =
                    index.ok_or_else(|| wrong(format!("the keys are not 0 to {}", items.len() - 1)))?;
                if names[index].replace(string(value)?).is_some() {
                    return Err(wrong(format!("class {index} has two names")));
                }
            }
            names.into_iter().map(|n| n.ok_or_else(|| wrong("a class has no name".into()))).collect()
        }
        _ => Err(wrong("neither a dictionary nor a list".into())),
    }
}
