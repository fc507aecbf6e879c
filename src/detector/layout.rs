//! How a model's outputs are laid out, recognized from metadata and shapes.

use super::dfl::MAX_BINS;
use super::error::ContractKind;
use super::file::Element;
use crate::geometry::Size;

/// No layout has more outputs: a detector has at most a handful of strides, with two outputs each.
pub(super) const MAX_OUTPUTS: usize = 16;

/// How a model's outputs are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One output `1 × (4 + classes) × anchors`: cx, cy, w, h in pixels of the input, then a probability for each class.
    /// Stock Ultralytics YOLOv8 and YOLO11 detection exports.
    Decoded {
        /// Number of anchors.
        anchors: usize,
        /// Number of classes.
        classes: usize,
    },
    /// One output `1 × slots × 6`: left, top, right, bottom in pixels of the input, score and class, of each object once.
    /// The end-to-end heads of YOLOv10 and YOLO26, which need no suppression.
    EndToEnd {
        /// Number of rows; those without an object have a low score.
        slots: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The logits as the heads make them, a level for each stride: `1 × (4 · reg_max) × h × w` for the distances to the
    /// four sides and `1 × classes × h × w` for the classes, in two outputs or one after the other in one.
    Raw {
        /// Bins of a distance's distribution.
        reg_max: usize,
        /// Number of classes.
        classes: usize,
        /// The levels, finest first.
        levels: Vec<Level>,
    },
}

/// One level of a [`Layout::Raw`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Pixels from one anchor to the next.
    pub stride: u32,
    /// Columns of anchors.
    pub width: usize,
    /// Rows of anchors.
    pub height: usize,
    /// Where the logits of the distances are.
    pub boxes: Channels,
    /// Where the logits of the classes are.
    pub classes: Channels,
}

/// Some channels of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Which output.
    pub output: usize,
    /// Its first channel.
    pub first: usize,
}

impl Layout {
    /// Raw heads as Vigie's own models have them: for each stride an output of distances, then one of classes.
    pub fn raw(input: Size, strides: &[u32], reg_max: usize, classes: usize) -> Layout {
        let level = |(i, &stride): (usize, &u32)| Level {
            stride,
            width: (input.width / stride) as usize,
            height: (input.height / stride) as usize,
            boxes: Channels { output: 2 * i, first: 0 },
            classes: Channels { output: 2 * i + 1, first: 0 },
        };
        Layout::Raw { reg_max, classes, levels: strides.iter().enumerate().map(level).collect() }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        match self {
            Layout::Decoded { classes, .. }
            | Layout::EndToEnd { classes, .. }
            | Layout::Raw { classes, .. } => *classes,
        }
    }

    /// Number of anchors, that is, of places that may report an object.
    pub fn anchors(&self) -> usize {
        match self {
            Layout::Decoded { anchors, .. } => *anchors,
            Layout::EndToEnd { slots, .. } => *slots,
            Layout::Raw { levels, .. } => levels.iter().map(|l| l.width * l.height).sum(),
        }
    }
}

impl std::fmt::Display for Layout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Layout::Decoded { anchors, classes } => {
                write!(f, "decoded, 1x(4+{classes})x{anchors}")
            }
            Layout::EndToEnd { slots, classes } => {
                write!(f, "end-to-end, 1x{slots}x6, {classes} classes")
            }
            Layout::Raw { reg_max, classes, levels } => {
                let strides: Vec<String> = levels.iter().map(|l| l.stride.to_string()).collect();
                write!(f, "raw heads at strides {}, {reg_max} bins, {classes} classes", strides.join(", "))
            }
        }
    }
}

/// An output of the analysed graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub name: String,
    pub element: Element,
    /// `None` where the graph's analysis found no fixed shape.
    pub shape: Option<Vec<usize>>,
}

/// Why outputs are not understood.
#[derive(Debug)]
pub(super) struct Unknown {
    pub kind: ContractKind,
    pub problem: String,
    pub hint: String,
}

fn unknown(problem: String, hint: &str) -> Unknown {
    Unknown { kind: ContractKind::Layout, problem, hint: hint.to_owned() }
}

/// How the outputs are laid out: as the metadata say, if they do, else as the shapes do.
pub(super) fn recognize(
    said: Option<&str>,
    outputs: &[Output],
    input: Size,
    names: Option<usize>,
) -> Result<Layout, Unknown> {
    let shapes = shapes(outputs)?;
    if let Some(o) = outputs.iter().find(|o| !matches!(o.element, Element::F32 | Element::F16)) {
        return Err(unknown(
            format!("has the output {} of {}", o.name, o.element),
            "export it with float outputs",
        ));
    }
    match said {
        Some("decoded" | "stock") => decoded(&shapes, input, names),
        Some("raw") => raw(outputs, &shapes, input, names),
        Some(other) => Err(unknown(
            format!("has the metadata vigie.layout = `{other}`"),
            "it must be `raw`, or `stock` for a decoded output",
        )),
        None if shapes.len() == 1 && shapes[0].len() == 3 => decoded(&shapes, input, names),
        None => raw(outputs, &shapes, input, names),
    }
}

fn shapes(outputs: &[Output]) -> Result<Vec<&[usize]>, Unknown> {
    let fixed = |o: &'_ Output| -> Result<(), Unknown> {
        let shape = o.shape.as_ref().ok_or_else(|| Unknown {
            kind: ContractKind::DynamicShape,
            problem: format!("has the output {} of a shape that is only known at run time", o.name),
            hint: "export it with fixed shapes (dynamic=False)".into(),
        })?;
        // Bounds every later product of dimensions.
        let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).unwrap_or(usize::MAX);
        match elements {
            1..=0x1000_0000 => Ok(()),
            _ => Err(unknown(format!("has the output {} of the shape {shape:?}", o.name), "export it again")),
        }
    };
    outputs.iter().try_for_each(fixed)?;
    Ok(outputs.iter().filter_map(|o| o.shape.as_deref()).collect())
}

fn decoded(shapes: &[&[usize]], input: Size, names: Option<usize>) -> Result<Layout, Unknown> {
    let problem = || format!("has outputs of the shapes {shapes:?}, not 1x(4+classes)xanchors");
    let [[1, rows, anchors]] = shapes else {
        return Err(unknown(
            problem(),
            "export a detection model as YOLOv8 or YOLO11 does, or with raw heads",
        ));
    };
    if let Some(classes) = names.filter(|n| n + 4 == *rows) {
        return Ok(Layout::Decoded { anchors: *anchors, classes });
    }
    if *anchors == 6 && !transposed(*rows, input) {
        return end_to_end(*rows, names);
    }
    if names.is_some_and(|n| n + 4 == *anchors || n + 5 == *anchors) || rows > anchors {
        return Err(unknown(
            problem(),
            "it seems to be transposed, or of a program that isn't Ultralytics (the first YOLOv5, YOLOX); use an \
             Ultralytics export: 1x(4+classes)xanchors, or 1x300x6 of an end-to-end head",
        ));
    }
    match rows.checked_sub(4) {
        None | Some(0) => Err(unknown(problem(), "there is no room for a class")),
        // With a number of names that doesn't fit, the contract says so, and means the names.
        Some(classes) => Ok(Layout::Decoded { anchors: *anchors, classes }),
    }
}

/// Whether so many rows are anchors: one or three for each place of the usual strides.
fn transposed(rows: usize, input: Size) -> bool {
    let places: u32 = [8, 16, 32].map(|stride| (input.width / stride) * (input.height / stride)).iter().sum();
    // So few may well be objects.
    rows > 300 && [places as usize, 3 * places as usize].contains(&rows)
}

fn end_to_end(slots: usize, names: Option<usize>) -> Result<Layout, Unknown> {
    match names {
        Some(classes) => Ok(Layout::EndToEnd { slots, classes }),
        None => Err(Unknown {
            kind: ContractKind::Names,
            problem: "doesn't say what its classes are called (no `names` in its metadata)".into(),
            hint: "say names = [\"…\", …] under [model]".into(),
        }),
    }
}

fn raw(
    outputs: &[Output],
    shapes: &[&[usize]],
    input: Size,
    names: Option<usize>,
) -> Result<Layout, Unknown> {
    let hint = "Vigie knows YOLOv8's decoded output 1x(4+classes)xanchors, and raw heads: for each stride \
                1x(4*bins)xHxW and 1xclassesxHxW";
    let problem = || {
        let listed: Vec<String> =
            outputs.iter().zip(shapes).map(|(o, s)| format!("{} {s:?}", o.name)).collect();
        format!("has outputs of an unknown layout: {}", listed.join(", "))
    };
    let no = || unknown(problem(), hint);
    if shapes.len() > MAX_OUTPUTS {
        return Err(no());
    }
    let mut grids: Vec<(usize, usize, Vec<usize>)> = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let [1, _, h, w] = shape else { return Err(no()) };
        match grids.iter_mut().find(|g| (g.0, g.1) == (*h, *w)) {
            Some(grid) => grid.2.push(i),
            None => grids.push((*h, *w, vec![i])),
        }
    }
    // The finest level first, as the anchors of every decoded export are ordered.
    grids.sort_by_key(|g| std::cmp::Reverse(g.0 * g.1));
    let mut levels = Vec::new();
    let mut sizes = Vec::new();
    for (height, width, members) in grids {
        let channels = |i: usize| shapes[i][1];
        let (boxes, classes, box_channels, class_channels) = match members[..] {
            [one] => {
                let classes = names.filter(|n| channels(one) > *n).ok_or_else(no)?;
                let first = channels(one) - classes;
                (Channels { output: one, first: 0 }, Channels { output: one, first }, first, classes)
            }
            [a, b] => {
                let (b, c) = if is_classes(&outputs[a].name, channels(a), channels(b), names) {
                    (b, a)
                } else {
                    (a, b)
                };
                let (boxes, classes) = (Channels { output: b, first: 0 }, Channels { output: c, first: 0 });
                (boxes, classes, channels(b), channels(c))
            }
            _ => return Err(no()),
        };
        let stride = input.width / width as u32;
        let even =
            stride > 0 && stride * width as u32 == input.width && stride * height as u32 == input.height;
        if !even || box_channels % 4 != 0 || box_channels < 4 {
            return Err(no());
        }
        sizes.push((box_channels / 4, class_channels));
        levels.push(Level { stride, width, height, boxes, classes });
    }
    match sizes[..] {
        [first, ref rest @ ..] if rest.iter().all(|s| *s == first) && first.0 <= MAX_BINS => {
            Ok(Layout::Raw { reg_max: first.0, classes: first.1, levels })
        }
        _ => Err(no()),
    }
}

/// Whether the first of a level's two outputs is the one of the classes.
fn is_classes(name: &str, channels: usize, others: usize, names: Option<usize>) -> bool {
    if name.starts_with("cls") || name.starts_with("box") {
        return name.starts_with("cls");
    }
    names == Some(channels) && names != Some(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Size = Size::new(320, 256);

    fn outputs(all: &[(&str, &[usize])]) -> Vec<Output> {
        let output = |(name, shape): &(&str, &[usize])| Output {
            name: (*name).into(),
            element: Element::F32,
            shape: Some(shape.to_vec()),
        };
        all.iter().map(output).collect()
    }

    #[test]
    fn stock_exports() {
        let stock = outputs(&[("output0", &[1, 84, 8400])]);
        let want = Layout::Decoded { anchors: 8400, classes: 80 };
        assert_eq!(recognize(None, &stock, INPUT, Some(80)).unwrap(), want);
        assert_eq!(recognize(None, &stock, INPUT, None).unwrap(), want);
        assert_eq!(recognize(Some("stock"), &stock, INPUT, None).unwrap(), want);
        // Three anchors are fewer than rows, yet the names decide.
        let tiny = outputs(&[("output0", &[1, 84, 3])]);
        assert_eq!(recognize(Some("decoded"), &tiny, INPUT, Some(80)).unwrap().anchors(), 3);
    }

    #[test]
    fn end_to_end_heads() {
        for (slots, classes) in [(300, 80), (300, 1), (100, 2), (1000, 80)] {
            let output = outputs(&[("output0", &[1, slots, 6])]);
            let layout = recognize(None, &output, INPUT, Some(classes)).unwrap();
            assert_eq!(layout, Layout::EndToEnd { slots, classes });
        }
        // Two classes and six anchors: the names decide.
        let tiny = outputs(&[("output0", &[1, 6, 6])]);
        let want = Layout::Decoded { anchors: 6, classes: 2 };
        assert_eq!(recognize(None, &tiny, INPUT, Some(2)).unwrap(), want);
    }

    #[test]
    fn raw_heads_in_any_order() {
        let all = outputs(&[
            ("cls16", &[1, 21, 16, 20]),
            ("box8", &[1, 64, 32, 40]),
            ("cls8", &[1, 21, 32, 40]),
            ("box16", &[1, 64, 16, 20]),
        ]);
        let layout = recognize(None, &all, INPUT, Some(21)).unwrap();
        let Layout::Raw { reg_max: 16, classes: 21, ref levels } = layout else { panic!("{layout}") };
        assert_eq!(levels[0].stride, 8);
        assert_eq!((levels[1].boxes.output, levels[1].classes.output), (3, 0));
        assert_eq!(layout.anchors(), 40 * 32 + 20 * 16);
    }

    #[test]
    fn raw_heads_of_64_classes_go_by_their_names_and_order() {
        let named = outputs(&[("cls8", &[1, 64, 32, 40]), ("box8", &[1, 64, 32, 40])]);
        let Layout::Raw { levels, .. } = recognize(Some("raw"), &named, INPUT, Some(64)).unwrap() else {
            panic!()
        };
        assert_eq!(levels[0].classes.output, 0);
        let unnamed = outputs(&[("a", &[1, 64, 32, 40]), ("b", &[1, 64, 32, 40])]);
        let Layout::Raw { levels, .. } = recognize(None, &unnamed, INPUT, Some(64)).unwrap() else {
            panic!()
        };
        assert_eq!(levels[0].classes.output, 1);
    }

    #[test]
    fn boxes_and_classes_in_one_output() {
        let all = outputs(&[("p3", &[1, 67, 32, 40])]);
        let Layout::Raw { reg_max: 16, classes: 3, levels } = recognize(None, &all, INPUT, Some(3)).unwrap()
        else {
            panic!()
        };
        assert_eq!(levels[0].classes, Channels { output: 0, first: 64 });
        assert!(
            recognize(None, &all, INPUT, None).is_err(),
            "without names there is no telling where the classes begin"
        );
    }

    #[test]
    fn the_others_are_named() {
        let says =
            |all: &[(&str, &[usize])], names| recognize(None, &outputs(all), INPUT, names).unwrap_err().hint;
        assert!(says(&[("output0", &[1, 25200, 85])], Some(80)).contains("YOLOv5"));
        let (places, one_class) = (40 * 32 + 20 * 16 + 10 * 8, 3 * (40 * 32 + 20 * 16 + 10 * 8));
        assert!(says(&[("output0", &[1, one_class, 6])], Some(1)).contains("YOLOv5"));
        assert!(says(&[("output0", &[1, places, 6])], Some(2)).contains("transposed"));
        assert!(says(&[("output0", &[1, 300, 6])], None).contains("names"), "rows don't tell the number");
        assert!(says(&[("output0", &[1, 4, 2100])], None).contains("no room"));
        assert!(says(&[("logits", &[1, 1000])], None).contains("raw heads"));
        assert!(
            says(&[("a", &[1, 64, 33, 40]), ("b", &[1, 3, 33, 40])], Some(3)).contains("raw heads"),
            "no stride"
        );
        let unfixed = Output { name: "o".into(), element: Element::F32, shape: None };
        assert_eq!(recognize(None, &[unfixed], INPUT, None).unwrap_err().kind, ContractKind::DynamicShape);
        let odd = recognize(Some("boxed"), &outputs(&[("o", &[1, 84, 10])]), INPUT, None).unwrap_err();
        assert!(odd.problem.contains("boxed"));
    }
}
