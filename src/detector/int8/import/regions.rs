//! Steps become regions, each one node of the graph that tract runs, and the graph is rewritten around them.
//!
//! A step's region is the highest of what it reads; what tract makes from region `r` can be read from region `r + 1` on.
//! So no region ever waits, through tract, for itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_onnx::Onnx;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto};

use super::onnx::Index;
use super::{Importer, RETRIES};
use crate::detector::int8::kernels::{self, Kernels};
use crate::detector::int8::op;
use crate::detector::int8::plan::{Form, Id, Named, Plan, Port, Step};
use crate::detector::int8::report::{Layer, Report};
use crate::detector::int8::{Error, Options};

/// A rewritten model: keep it until tract has parsed the model.
#[derive(Debug)]
pub struct Rewritten {
    /// What runs how.
    pub report: Report,
    /// The regions, in order.
    pub plans: Vec<Arc<Plan>>,
    /// Whether one region is the whole graph, so that it can be run without tract around it.
    pub whole: bool,
}

/// Replaces what the engine recognizes in `model` by its own operations, and teaches `onnx` to read these. What isn't
/// recognized stays as it is. A model without QDQ nodes is left alone.
///
/// # Errors
/// When the protobuf has no graph, or names an output that nothing makes.
pub fn rewrite(model: &mut ModelProto, onnx: &mut Onnx, options: &Options) -> Result<Rewritten, Error> {
    let graph = model.graph.as_mut().ok_or(Error::NoGraph)?;
    check_outputs(graph)?;
    let kernels = options.kernels.unwrap_or_else(kernels::best);
    let own = model.opset_import.iter().find(|o| matches!(&*o.domain, "" | "ai.onnx"));
    let opset = own.map_or(0, |o| o.version);
    let Some((plans, nodes, layers)) = plan(graph, (kernels, opset)) else {
        let layers = graph.node.iter().map(Layer::left).collect();
        return Ok(Rewritten { report: Report { layers }, plans: Vec::new(), whole: false });
    };
    let plans: Vec<Arc<Plan>> = plans.into_iter().map(Arc::new).collect();
    let whole = plans.len() == 1 && nodes.iter().all(|n| matches!(n, Place::Region(_)));
    let whole = whole && is_whole(graph, &plans[0]);
    let old = std::mem::take(&mut graph.node);
    let mut old: Vec<Option<NodeProto>> = old.into_iter().map(Some).collect();
    for place in nodes {
        match place {
            Place::Kept(i) => graph.node.extend(old[i].take()),
            Place::Region(r) => graph.node.push(region_node(r, &plans[r])),
        }
    }
    let read: HashSet<&str> = graph.node.iter().flat_map(|n| n.input.iter().map(String::as_str)).collect();
    let outputs: HashSet<&str> = graph.output.iter().map(|o| &*o.name).collect();
    let used: Vec<bool> =
        graph.initializer.iter().map(|t| read.contains(&*t.name) || outputs.contains(&*t.name)).collect();
    let mut used = used.into_iter();
    graph.initializer.retain(|_| used.next().unwrap_or(true));
    graph.value_info.clear();
    onnx.op_register.insert(op::NAME, op::build);
    Ok(Rewritten { report: Report { layers }, plans, whole })
}

/// What [`rewrite`] asks of a model that is left as it is.
///
/// # Errors
/// As [`rewrite`].
pub fn check(model: &ModelProto) -> Result<(), Error> {
    check_outputs(model.graph.as_ref().ok_or(Error::NoGraph)?)
}

/// tract looks outputs up without asking whether they are there.
fn check_outputs(graph: &GraphProto) -> Result<(), Error> {
    let made: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|n| n.output.iter().map(String::as_str))
        .chain(graph.input.iter().map(|i| &*i.name))
        .chain(graph.initializer.iter().map(|t| &*t.name))
        .collect();
    match graph.output.iter().find(|o| !made.contains(&*o.name)) {
        Some(o) => Err(Error::NoSuchOutput { name: o.name.clone() }),
        None => Ok(()),
    }
}

fn is_whole(graph: &GraphProto, plan: &Plan) -> bool {
    let names = |ports: &[Port]| ports.iter().map(|p| p.name.clone()).collect::<HashSet<_>>();
    let initial: HashSet<&str> = graph.initializer.iter().map(|t| &*t.name).collect();
    let inputs = graph.input.iter().filter(|i| !initial.contains(&*i.name));
    inputs.map(|i| i.name.clone()).collect::<HashSet<_>>() == names(&plan.inputs)
        && graph.output.iter().map(|o| o.name.clone()).collect::<HashSet<_>>() == names(&plan.outputs)
}

/// What stands where in the rewritten graph.
enum Place {
    Kept(usize),
    Region(usize),
}

type Planned = (Vec<Plan>, Vec<Place>, Vec<Layer>);

fn plan(graph: &GraphProto, with: (&'static dyn Kernels, i64)) -> Option<Planned> {
    graph.node.iter().any(|n| n.op_type == "QuantizeLinear").then_some(())?;
    let index = Index::new(graph);
    let mut forced = HashSet::new();
    for _ in 0..RETRIES {
        let importer = Importer::walk(graph, &index, with, &forced);
        if importer.stay.is_empty() {
            return assemble(importer);
        }
        let more = importer.stay.clone();
        let before = forced.len();
        forced.extend(more);
        (forced.len() > before).then_some(())?;
    }
    None
}

fn assemble(mut importer: Importer<'_>) -> Option<Planned> {
    let graph = importer.graph;
    let mut steps = std::mem::take(&mut importer.steps);
    drop_unread(&mut steps);
    fuse_lookups(&mut steps);
    let regions = steps.iter().map(|(r, _)| r + 1).max()?;
    let mut plans: Vec<Plan> =
        (0..regions).map(|_| Plan::new(importer.kernels, importer.tensors.clone())).collect();
    // Tensors that a later region reads are stored by the one that makes them.
    let made_in: HashMap<Id, usize> =
        steps.iter().filter_map(|(r, n)| Some((n.step.writes()?, *r))).collect();
    let mut stored = HashSet::new();
    for (region, mut named) in steps {
        for id in named.step.reads() {
            let from = made_in[&id];
            if from != region && stored.insert((id, region)) {
                let port = || Port {
                    name: format!("vigie.stored.{id}"),
                    shape: vec![importer.tensors[id].elements()],
                    form: Form::Stored(importer.tensors[id].elem),
                };
                let name = || port().name;
                if stored.insert((id, usize::MAX)) {
                    let output = plans[from].outputs.len();
                    plans[from].outputs.push(port());
                    plans[from].steps.push(Named { name: name(), step: Step::Store { from: id, output } });
                }
                let input = plans[region].inputs.len();
                plans[region].inputs.push(port());
                plans[region].steps.push(Named { name: name(), step: Step::Load { input, to: id } });
            }
        }
        let plan = &mut plans[region];
        match &mut named.step {
            Step::ImportBytes { input, .. } | Step::ImportF32 { input, .. } => {
                let port = importer.imports[*input].clone();
                *input = plan.inputs.iter().position(|p| p.name == port.name).unwrap_or(plan.inputs.len());
                if *input == plan.inputs.len() {
                    plan.inputs.push(port);
                }
            }
            Step::Export { output, .. } => {
                plan.outputs.push(importer.exports[*output].clone());
                *output = plan.outputs.len() - 1;
            }
            _ => {}
        }
        plan.steps.push(named);
    }
    plans.iter_mut().for_each(Plan::assign);
    let layers = Layer::list(graph, &plans, &importer.kept);
    let places = places(&importer, &plans);
    // Regions in which nothing is left make no node.
    Some((plans, places, layers))
}

/// Steps whose results nobody reads.
fn drop_unread(steps: &mut Vec<(usize, Named)>) {
    let mut read: HashSet<Id> = HashSet::new();
    let mut keep: Vec<bool> = Vec::with_capacity(steps.len());
    for (_, named) in steps.iter().rev() {
        let needed = named.step.writes().is_none_or(|id| read.contains(&id));
        if needed {
            read.extend(named.step.reads());
        }
        keep.push(needed);
    }
    let mut keep = keep.into_iter().rev();
    steps.retain(|_| keep.next().unwrap_or(true));
}

/// A table that is the only reader of a step's bytes becomes that step's own, behind one that the step already has.
fn fuse_lookups(steps: &mut Vec<(usize, Named)>) {
    let mut readers: HashMap<Id, usize> = HashMap::new();
    let mut makers: HashMap<Id, usize> = HashMap::new();
    for (i, (_, named)) in steps.iter().enumerate() {
        named.step.reads().into_iter().for_each(|id| *readers.entry(id).or_default() += 1);
        makers.extend(named.step.writes().map(|id| (id, i)));
    }
    let mut fused = HashSet::new();
    for i in 0..steps.len() {
        let Step::Lookup { from, to, table } = &steps[i].1.step else { continue };
        let (from, to, table) = (*from, *to, table.clone());
        let maker = makers[&from];
        if readers[&from] != 1 || steps[maker].0 != steps[i].0 {
            continue;
        }
        match &mut steps[maker].1.step {
            Step::Conv { to: made, table: own, .. } | Step::Linear { to: made, table: own, .. } => {
                let both = own.take().map_or_else(|| table.clone(), |first| Box::new(first.then(&table)));
                (*made, *own) = (to, Some(both));
            }
            Step::ImportBytes { to: made, table: own, .. } if own.is_identity() => {
                (*made, *own) = (to, *table)
            }
            _ => continue,
        }
        makers.insert(to, maker);
        fused.insert(i);
    }
    let mut i = 0;
    steps.retain(|_| {
        i += 1;
        !fused.contains(&(i - 1))
    });
}

/// Kept nodes that something still reads, in their order, each region as soon as its inputs are there.
fn places(importer: &Importer<'_>, plans: &[Plan]) -> Vec<Place> {
    let graph = importer.graph;
    let mut read: HashSet<&str> = graph.output.iter().map(|o| &*o.name).collect();
    read.extend(plans.iter().flat_map(|p| p.inputs.iter().map(|p| &*p.name)));
    let mut kept = Vec::new();
    for (i, node) in graph.node.iter().enumerate().rev() {
        if importer.kept.contains(&i) && node.output.iter().any(|o| read.contains(&**o)) {
            read.extend(node.input.iter().map(String::as_str));
            kept.push(i);
        }
    }
    let ready = |i: usize| {
        let outputs = graph.node[i].output.iter();
        outputs.filter_map(|o| importer.ready.get(&**o)).copied().max().unwrap_or(0)
    };
    kept.reverse();
    kept.sort_by_key(|&i| ready(i));
    let mut places = Vec::new();
    let mut kept = kept.into_iter().peekable();
    for (r, plan) in plans.iter().enumerate() {
        while let Some(i) = kept.next_if(|&i| ready(i) <= r) {
            places.push(Place::Kept(i));
        }
        if !plan.steps.is_empty() {
            places.push(Place::Region(r));
        }
    }
    places.extend(kept.map(Place::Kept));
    places
}

fn region_node(r: usize, plan: &Arc<Plan>) -> NodeProto {
    let id =
        AttributeProto { name: "id".into(), i: op::register(plan), r#type: 2, ..AttributeProto::default() };
    NodeProto {
        input: plan.inputs.iter().map(|p| p.name.clone()).collect(),
        output: plan.outputs.iter().map(|p| p.name.clone()).collect(),
        name: format!("vigie.int8.{r}"),
        op_type: op::NAME.into(),
        attribute: vec![id],
        ..NodeProto::default()
    }
}
