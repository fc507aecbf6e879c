//! Runs a graph with tract: prepared once, its state and its input's memory kept from frame to frame.
//!
//! What tract allocates for a frame, and Vigie can't avoid from outside: the tensors between its operators and the
//! outputs. The input is filled in place, and everything after the outputs is Vigie's own reused memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::model::ParseResult;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::model::typed::TypedSimpleState;
use tract_onnx::tract_core::ops::OpState;
use tract_onnx::tract_core::plan::{EvalContext, eval};

use super::contract::{Fed, Input};
use super::file::{Element, ModelFile};
use super::layout::{MAX_OUTPUTS, Output};
use super::threads::Threads;
use super::words::printable;
use super::{Error, adapt, input, int8};
use crate::vision::Tensor as Picture;

/// How a graph is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Quantized parts become operations of the integer engine, and what the file says of shapes inside the graph is
    /// believed.
    pub rewrite: bool,
    /// 16-bit floats become 32-bit ones.
    pub widen: bool,
}

/// A graph, analysed and simplified, not yet prepared for this machine.
pub(super) struct Analysed {
    pub model: TypedModel,
    pub report: int8::Report,
    pub outputs: Vec<Output>,
    /// What the graph is fed, as it was prepared.
    pub input: Input,
}

/// A graph that is ready to run.
pub(super) struct Engine {
    state: TypedSimpleState,
    threads: Threads,
    input: Arc<Tensor>,
    outputs: TVec<TValue>,
    /// By output, how many values the analysis says that it has.
    lengths: Vec<usize>,
    report: int8::Report,
    /// Outputs of half floats, widened; the others' are empty.
    widened: Vec<Vec<f32>>,
}

/// What runs a node of the graph.
pub(super) type Eval<'e> = dyn for<'a, 'b, 'c> FnMut(
        &'a EvalContext<'a>,
        Option<&'b mut (dyn OpState + 'static)>,
        &'c TypedNode,
        TVec<TValue>,
    ) -> TractResult<TVec<TValue>>
    + Send
    + 'e;

/// tract is not written to withstand hostile graphs: some malformed ones make it panic (indexing, unwrapping) instead of
/// returning an error. Nothing of it outlives a failed preparation, so to catch the panic here is sound, and a bad model
/// file stays a bad model file instead of taking the daemon down.
pub(super) fn guarded<T>(file: &ModelFile, work: impl FnOnce() -> TractResult<T>) -> Result<T, Error> {
    let unsupported = |reason: String| Error::Unsupported { path: file.path.clone(), reason };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|e| unsupported(chain(&e))),
        Err(panic) => {
            let words = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no reason given");
            Err(unsupported(printable(&format!("the runtime panicked: {words}"), 400)))
        }
    }
}

/// An error and its causes, on one line of bounded length (tract puts whole graphs into its messages).
fn chain(error: &TractError) -> String {
    let words: Vec<String> = error.chain().map(|e| e.to_string().replace('\n', " ")).collect();
    printable(&words.join(": "), 400)
}

/// Analyses a graph for a fixed input size.
pub(super) fn analyse(file: &ModelFile, fed: &Fed, way: Way) -> Result<Analysed, Error> {
    let input = if way.widen && fed.input == Input::F16 { Input::F32 } else { fed.input };
    let element = match input {
        Input::U8 => u8::datum_type(),
        Input::F16 => f16::datum_type(),
        Input::F32 => f32::datum_type(),
    };
    let shape = [1, 3, fed.size.height as usize, fed.size.width as usize];
    guarded(file, || {
        let (parsed, report) = parse(file, way)?;
        let mut model = parsed.model;
        if let Some(name) = parsed.unresolved_inputs.first() {
            return Err(TractError::msg(format!("its nodes refer to `{name}`, which nothing makes")));
        }
        model.set_input_fact(0, InferenceFact::dt_shape(element, shape))?;
        let model = model.into_typed()?.into_decluttered()?;
        let outputs = outputs(file, &model)?;
        Ok(Analysed { model, report, outputs, input })
    })
}

/// The file's graph in tract's terms, quantized parts replaced by integer operations of our own before tract folds their
/// weights into floats.
fn parse(file: &ModelFile, way: Way) -> TractResult<(ParseResult, int8::Report)> {
    let mut onnx = tract_onnx::onnx();
    let mut proto = file.proto.clone();
    adapt::drop_symbolic_shapes(&mut proto);
    if way.widen {
        adapt::widen(&mut proto);
    }
    if !way.rewrite {
        onnx.ignore_value_info = true;
        int8::check(&proto)?;
        let layers = file.graph().node.iter().map(int8::Layer::left).collect();
        return Ok((onnx.parse(&proto, None)?, int8::Report { layers }));
    }
    let rewritten = int8::rewrite(&mut proto, &mut onnx, &int8::Options::default())?;
    Ok((onnx.parse(&proto, None)?, rewritten.report))
}

fn outputs(file: &ModelFile, model: &TypedModel) -> TractResult<Vec<Output>> {
    let describe = |(port, outlet): (super::file::Port, &OutletId)| {
        let fact = model.outlet_fact(*outlet)?;
        let element = match fact.datum_type {
            DatumType::F32 => Element::F32,
            DatumType::F16 => Element::F16,
            DatumType::U8 => Element::U8,
            // What the file declares is no proof: a graph may end in a Cast to something else.
            other => Element::Other(code(other) as i32),
        };
        Ok(Output { name: port.name, element, shape: fact.shape.as_concrete().map(<[usize]>::to_vec) })
    };
    file.outputs().into_iter().zip(model.output_outlets()?).map(describe).collect()
}

/// ONNX's number of a type.
fn code(element: DatumType) -> DataType {
    match element {
        DatumType::Bool => DataType::Bool,
        DatumType::I8 => DataType::Int8,
        DatumType::U16 => DataType::Uint16,
        DatumType::I16 => DataType::Int16,
        DatumType::U32 => DataType::Uint32,
        DatumType::I32 => DataType::Int32,
        DatumType::U64 => DataType::Uint64,
        DatumType::I64 | DatumType::TDim => DataType::Int64,
        DatumType::F64 => DataType::Double,
        _ => DataType::Undefined,
    }
}

impl Engine {
    /// Prepares a graph for this machine, to run on these threads.
    pub(super) fn prepare(file: &ModelFile, analysed: Analysed, threads: Threads) -> Result<Engine, Error> {
        guarded(file, || {
            let plan = analysed.model.into_optimized()?.into_runnable()?;
            let fact = plan.model().input_fact(0)?;
            let shape =
                fact.shape.as_concrete().ok_or_else(|| TractError::msg("its input has no fixed shape"))?;
            let input = Arc::new(Tensor::zero_dt(fact.datum_type, shape)?);
            let state = plan.spawn()?;
            let widened = vec![Vec::new(); analysed.outputs.len()];
            let length = |output: &Output| output.shape.iter().flatten().product();
            let lengths = analysed.outputs.iter().map(length).collect();
            Ok(Engine { state, threads, input, outputs: tvec![], lengths, report: analysed.report, widened })
        })
    }

    /// Runs the graph on a picture of the model's size.
    pub(super) fn run(&mut self, picture: &Picture) -> Result<(), Error> {
        self.try_run(picture).map_err(|e| Error::Run { reason: chain(&e) })
    }

    fn try_run(&mut self, picture: &Picture) -> TractResult<()> {
        self.outputs.clear();
        // A graph that hands its input on as an output still held it until a line ago; then and only then it's copied.
        let tensor = Arc::make_mut(&mut self.input);
        match tensor.datum_type() {
            DatumType::U8 => {
                input::planes(picture, tensor.try_as_plain_ram_mut()?.as_slice_mut::<u8>()?, |v| v)
            }
            DatumType::F16 => {
                let halves = input::halves();
                input::planes(picture, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f16>()?, |v| {
                    halves[usize::from(v)]
                })
            }
            _ => input::planes(picture, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?, input::unit),
        }
        self.evaluate(&mut eval)?;
        for (output, widened) in self.outputs.iter().zip(&mut self.widened) {
            if output.datum_type() == f16::datum_type() {
                widened.clear();
                widened.extend(output.try_as_plain_ram()?.as_slice::<f16>()?.iter().map(|v| v.to_f32()));
            }
        }
        Ok(())
    }

    /// Runs the graph on the last picture once more, its nodes by `eval`.
    pub(super) fn run_with(&mut self, eval: &mut Eval<'_>) -> Result<(), Error> {
        self.outputs.clear();
        self.evaluate(eval).map_err(|e| Error::Run { reason: chain(&e) })
    }

    fn evaluate(&mut self, eval: &mut Eval<'_>) -> TractResult<()> {
        let (state, input) = (&mut self.state, tvec![self.input.clone().into_tvalue()]);
        self.outputs = self.threads.run(|| state.run_plan_with_eval(input, eval))?;
        Ok(())
    }

    /// Runs the graph for the first time, guarded as its preparation is: what a graph makes panic does so at once, for
    /// all shapes are fixed.
    pub(super) fn first_run<T>(
        &mut self,
        file: &ModelFile,
        picture: &Picture,
        check: impl FnOnce(&Engine) -> Result<T, Error>,
    ) -> Result<T, Error> {
        guarded(file, || {
            self.try_run(picture)?;
            let wrong = |(i, length): (usize, &usize)| self.output(i).len() != *length;
            match self.lengths.iter().enumerate().find(|output| wrong(*output)) {
                Some((i, length)) => Err(TractError::msg(format!(
                    "its output {i} has {} floats, not the {length} that its shape says",
                    self.output(i).len()
                ))),
                None => Ok(()),
            }
        })?;
        check(self)
    }

    /// The values of the last run's outputs; on the stack, so that a frame costs no allocation.
    pub(super) fn outputs(&self) -> [&[f32]; MAX_OUTPUTS] {
        std::array::from_fn(|i| self.output(i))
    }

    /// How many threads run the graph.
    pub(super) fn threads(&self) -> usize {
        self.threads.count()
    }

    /// What of the graph the integer engine runs, and how.
    pub(super) fn report(&self) -> &int8::Report {
        &self.report
    }

    /// The graph as it runs on this machine.
    pub(super) fn model(&self) -> &TypedModel {
        self.state.plan().model()
    }

    fn output(&self, index: usize) -> &[f32] {
        let Some(output) = self.outputs.get(index) else { return &[] };
        match output.datum_type() {
            DatumType::F16 => &self.widened[index],
            _ => output.as_plain_ram().and_then(|p| p.as_slice::<f32>().ok()).unwrap_or(&[]),
        }
    }
}
