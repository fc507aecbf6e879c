//! Wounds for models, and how to run what is accepted all the same.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use tract_onnx::pb::{ModelProto, TensorProto};
use vigie::detector::int8::exec::{Input, Output};
use vigie::detector::int8::plan::{Elem, Form, Plan};

use super::Rng;

/// Numbers that break things.
fn odd(rng: &mut Rng) -> i64 {
    match rng.next() % 10 {
        0 => 0,
        1 => -1,
        2 => i64::MAX,
        3 => i64::MIN,
        4 => 1 << 32,
        5 => 65535,
        _ => (rng.next() % 70) as i64 - 4,
    }
}

fn damage_tensor(t: &mut TensorProto, rng: &mut Rng) {
    match rng.next() % 5 {
        0 => t.data_type = (rng.next() % 14) as i32,
        1 if !t.raw_data.is_empty() => {
            let at = rng.next() as usize % t.raw_data.len();
            t.raw_data[at] ^= 1 << (rng.next() % 8);
        }
        2 => t.raw_data.truncate(rng.next() as usize % (t.raw_data.len() + 1)),
        3 if !t.dims.is_empty() => {
            let at = rng.next() as usize % t.dims.len();
            t.dims[at] = odd(rng);
        }
        _ => t.dims.push(odd(rng)),
    }
}

/// One wound. A graph without constants, attributes or results stays as it is.
pub fn damage(model: &mut ModelProto, rng: &mut Rng) {
    let Some(graph) = model.graph.as_mut() else { return };
    if graph.initializer.is_empty()
        || graph.node.iter().all(|n| n.attribute.is_empty() || n.output.is_empty())
    {
        return;
    }
    let names: Vec<String> = graph.node.iter().flat_map(|n| n.output.clone()).collect();
    let some = |rng: &mut Rng, len: usize| rng.next() as usize % len;
    match rng.next() % 9 {
        0..3 => {
            let at = some(rng, graph.initializer.len());
            damage_tensor(&mut graph.initializer[at], rng);
        }
        3 => {
            let at = some(rng, graph.node.len());
            let node = &mut graph.node[at];
            if !node.input.is_empty() {
                let i = some(rng, node.input.len());
                node.input[i] = names[some(rng, names.len())].clone();
            }
        }
        4 => {
            let at = some(rng, graph.node.len());
            let node = &mut graph.node[at];
            match rng.next() % 3 {
                0 => drop(node.input.pop()),
                1 => node.input.push(names[some(rng, names.len())].clone()),
                _ => node.output.push(format!("more{}", rng.next())),
            }
        }
        5 | 6 => {
            let with: Vec<usize> =
                (0..graph.node.len()).filter(|&i| !graph.node[i].attribute.is_empty()).collect();
            let node = &mut graph.node[with[some(rng, with.len())]];
            let a = some(rng, node.attribute.len());
            let attribute = &mut node.attribute[a];
            match rng.next() % 4 {
                0 => attribute.i = odd(rng),
                1 => attribute.f = [f32::NAN, f32::INFINITY, -1.0, 0.0][some(rng, 4)],
                2 if !attribute.ints.is_empty() => {
                    let i = some(rng, attribute.ints.len());
                    attribute.ints[i] = odd(rng);
                }
                _ => attribute.ints.push(odd(rng)),
            }
        }
        7 => {
            let (a, b) = (some(rng, graph.node.len()), some(rng, graph.node.len()));
            let op = graph.node[a].op_type.clone();
            graph.node[b].op_type = op;
        }
        _ => {
            let (a, b) = (some(rng, graph.node.len()), some(rng, graph.node.len()));
            graph.node.swap(a, b);
        }
    }
}

/// Run a plan once on random inputs.
pub fn exercise(plan: &Plan, rng: &mut Rng) {
    let len = |shape: &[usize]| shape.iter().product::<usize>();
    let bytes: Vec<Vec<u8>> =
        plan.inputs.iter().map(|p| (0..len(&p.shape)).map(|_| rng.next() as u8).collect()).collect();
    let signed: Vec<Vec<i8>> = bytes.iter().map(|v| v.iter().map(|&b| b as i8).collect()).collect();
    let floats: Vec<Vec<f32>> =
        plan.inputs.iter().map(|p| (0..len(&p.shape)).map(|_| rng.float()).collect()).collect();
    let inputs: Vec<Input<'_>> = plan
        .inputs
        .iter()
        .enumerate()
        .map(|(i, p)| match p.form {
            Form::Bytes => Input::U8(&bytes[i]),
            Form::Stored(Elem::S8) => Input::S8(&signed[i]),
            _ => Input::F32(&floats[i]),
        })
        .collect();
    let mut bytes: Vec<Vec<i8>> = plan.outputs.iter().map(|p| vec![0; len(&p.shape)]).collect();
    let mut floats: Vec<Vec<f32>> = plan.outputs.iter().map(|p| vec![0.0; len(&p.shape)]).collect();
    let mut outputs: Vec<Output<'_>> = plan
        .outputs
        .iter()
        .zip(bytes.iter_mut().zip(&mut floats))
        .map(|(p, (b, f))| if p.form == Form::Stored(Elem::S8) { Output::S8(b) } else { Output::F32(f) })
        .collect();
    plan.run(&mut plan.workspace(1), &inputs, &mut outputs, None);
}
