//! The one operation that tract sees: a region of the graph, run by its plan.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::tract_hir::internal::*;
use tract_onnx::tract_hir::ops::expandable::{Expansion, expand};

use super::bands;
use super::exec::{Input, Output, Workspace};
use super::plan::{Elem, Form, Plan, Port};

/// The operation's name in the rewritten graph.
pub const NAME: &str = "VigieInt8";

/// Plans on their way from the rewritten protobuf to tract's parser, which hands an operation nothing but attributes.
static PLANS: Mutex<Option<HashMap<i64, Weak<Plan>>>> = Mutex::new(None);

/// A number under which [`build`] finds the plan while somebody holds it.
pub fn register(plan: &Arc<Plan>) -> i64 {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let plans = plans.get_or_insert_default();
    plans.retain(|_, plan| plan.strong_count() > 0);
    plans.insert(id, Arc::downgrade(plan));
    id
}

/// What tract's parser calls for a [`NAME`] node.
pub fn build(_: &ParsingContext<'_>, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let id = node.attribute.iter().find(|a| a.name == "id").map_or(0, |a| a.i);
    let plans = PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    let plan = plans.as_ref().and_then(|p| p.get(&id)).and_then(Weak::upgrade);
    let plan =
        plan.with_context(|| format!("no int8 plan {id} (the rewritten model outlived what rewrote it)"))?;
    Ok((expand(Region { plan, idle: Arc::default() }), vec![]))
}

/// A region of the graph as tract's operation.
#[derive(Clone)]
pub struct Region {
    plan: Arc<Plan>,
    /// Memory of runs that ended, for the next.
    idle: Arc<Mutex<Vec<Memory>>>,
}

/// As many results as a model has outputs, on the stack: a longer list is on the heap, as tract's own are past four.
type Results<'a> = tract_smallvec::SmallVec<[Output<'a>; 16]>;

/// The memory of one run.
struct Memory {
    work: Workspace,
    /// The results, which tract holds too until it has handed them on.
    outputs: Vec<Arc<Tensor>>,
}

impl Memory {
    fn new(plan: &Plan) -> TractResult<Memory> {
        let outputs = plan.outputs.iter().map(result).collect::<TractResult<_>>()?;
        Ok(Memory { work: plan.workspace(bands::threads()), outputs })
    }

    /// The results' memory, anew where somebody still reads the last run's.
    fn results(&mut self, ports: &[Port]) -> TractResult<(&mut Workspace, Results<'_>)> {
        for (tensor, port) in self.outputs.iter_mut().zip(ports) {
            if Arc::get_mut(tensor).is_none() {
                *tensor = result(port)?;
            }
        }
        let tensors = self.outputs.iter_mut();
        let results = tensors.map(|t| output(Arc::get_mut(t).context("a result that is still read")?));
        Ok((&mut self.work, results.collect::<TractResult<_>>()?))
    }
}

fn result(port: &Port) -> TractResult<Arc<Tensor>> {
    Ok(Arc::new(Tensor::zero_dt(datum_type(port), &port.shape)?))
}

impl PartialEq for Region {
    fn eq(&self, other: &Region) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }
}

impl Eq for Region {}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{NAME}({} steps)", self.plan.steps.len())
    }
}

fn datum_type(port: &Port) -> DatumType {
    match port.form {
        Form::Bytes => u8::datum_type(),
        Form::Floats | Form::Stored(Elem::F32) => f32::datum_type(),
        Form::Stored(Elem::S8) => i8::datum_type(),
    }
}

impl Expansion for Region {
    fn name(&self) -> StaticName {
        NAME.into()
    }

    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.plan.outputs.len())
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for (port, proxy) in self.plan.inputs.iter().zip(inputs).chain(self.plan.outputs.iter().zip(outputs))
        {
            if port.form != Form::Bytes {
                s.equals(&proxy.datum_type, datum_type(port))?;
            }
            let shape: TVec<TDim> = port.shape.iter().map(|&d| d.to_dim()).collect();
            s.equals(&proxy.shape, shape)?;
        }
        Ok(())
    }

    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Region {
    fn name(&self) -> StaticName {
        NAME.into()
    }

    fn info(&self) -> TractResult<Vec<String>> {
        Ok(vec![format!("{} steps, {} bytes", self.plan.steps.len(), self.plan.bytes())])
    }

    op_as_typed_op!();
}

impl EvalOp for Region {
    op_out_of_plan!();

    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.run(&inputs, None)
    }
}

impl Region {
    /// What runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Runs the region; `timings`, where given, gets each step's time added.
    ///
    /// # Errors
    /// When an input isn't what its port says.
    pub fn run(&self, inputs: &[TValue], timings: Option<&mut [Duration]>) -> TractResult<TVec<TValue>> {
        let (given, expected) = (inputs.len(), self.plan.inputs.len());
        ensure!(given == expected, "a region of {expected} inputs got {given}");
        let given = inputs.iter().zip(&self.plan.inputs).map(|(tensor, port)| input(tensor, port));
        let given: TVec<Input<'_>> = given.collect::<TractResult<_>>()?;
        let pool = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = pool().pop();
        let mut memory = idle.map_or_else(|| Memory::new(&self.plan), Ok)?;
        let (work, mut results) = memory.results(&self.plan.outputs)?;
        self.plan.run(work, &given, &mut results, timings);
        drop(results);
        let outputs = memory.outputs.iter().map(|tensor| tensor.clone().into_tvalue()).collect();
        pool().push(memory);
        Ok(outputs)
    }
}

fn output(tensor: &mut Tensor) -> TractResult<Output<'_>> {
    let in_pieces = "a result in pieces";
    Ok(match tensor.datum_type() {
        DatumType::F32 => {
            Output::F32(tensor.to_plain_array_view_mut::<f32>()?.into_slice().context(in_pieces)?)
        }
        _ => Output::S8(tensor.to_plain_array_view_mut::<i8>()?.into_slice().context(in_pieces)?),
    })
}

fn input<'a>(tensor: &'a TValue, port: &Port) -> TractResult<Input<'a>> {
    ensure!(
        tensor.shape() == &*port.shape,
        "input {} has shape {:?}, not {:?}",
        port.name,
        tensor.shape(),
        port.shape
    );
    let plain = tensor.try_as_plain_ram()?;
    Ok(match tensor.datum_type() {
        DatumType::U8 if port.form == Form::Bytes => Input::U8(plain.as_slice::<u8>()?),
        DatumType::I8 if port.form == Form::Bytes || port.form == Form::Stored(Elem::S8) => {
            Input::S8(plain.as_slice::<i8>()?)
        }
        DatumType::F32 if matches!(port.form, Form::Floats | Form::Stored(Elem::F32)) => {
            Input::F32(plain.as_slice::<f32>()?)
        }
        other => bail!("input {} has elements {other:?}", port.name),
    })
}

impl TypedOp for Region {
    fn output_facts(&self, _: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.plan.outputs.iter().map(|p| datum_type(p).fact(&p.shape)).collect())
    }

    as_op!();
}
