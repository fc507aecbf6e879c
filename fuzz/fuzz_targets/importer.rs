//! The importer on arbitrary bytes: whatever the protobuf says, it neither panics nor asks for memory without bound, and what it
//! accepts runs on every kernel that this processor has. Half of the mutations are libFuzzer's, on bytes; the other half know ONNX
//! (`tests/int8_common/damage.rs`): a dimension, an attribute, an input, a constant.
#![no_main]
#![allow(missing_docs, unsafe_code)]

#[path = "../../tests/int8_common/mod.rs"]
mod int8_common;

use int8_common::Rng;
use int8_common::damage::{damage, exercise};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use prost::Message;
use tract_onnx::pb::ModelProto;
use vigie::detector::int8::kernels::available;
use vigie::detector::int8::{Options, rewrite};

/// Multiplications that a run may take: a larger plan is right to be accepted, but would only slow the search.
const MOST_MACS: u64 = 20_000_000;
/// Elements of all inputs and outputs, likewise.
const MOST_ELEMENTS: usize = 1 << 22;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 2 == 0 {
        let mut rng = Rng(u64::from(seed) << 16);
        if let Ok(mut model) = ModelProto::decode(&data[..size]) {
            for _ in 0..=rng.next() % 3 {
                damage(&mut model, &mut rng);
            }
            let bytes = model.encode_to_vec();
            if bytes.len() <= max_size {
                data[..bytes.len()].copy_from_slice(&bytes);
                return bytes.len();
            }
        }
    }
    fuzzer_mutate(data, size, max_size)
});

fuzz_target!(|data: &[u8]| {
    let Ok(model) = ModelProto::decode(data) else { return };
    for kernels in available() {
        let options = Options { kernels: Some(kernels) };
        let Ok(rewritten) = rewrite(&mut model.clone(), &mut tract_onnx::onnx(), &options) else { return };
        for plan in &rewritten.plans {
            let elements: usize =
                plan.inputs.iter().chain(&plan.outputs).map(|p| p.shape.iter().product::<usize>()).sum();
            let macs: u64 = plan.steps.iter().map(|s| s.step.macs()).sum();
            if macs <= MOST_MACS && elements <= MOST_ELEMENTS {
                exercise(plan, &mut Rng(data.len() as u64));
            }
        }
    }
});
