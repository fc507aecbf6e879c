//! Damaged models: the importer neither panics nor plans what can't run, whatever the protobuf says. `fuzz/` goes on from here.
#![allow(missing_docs, clippy::unwrap_used)]

mod int8_common;

use int8_common::damage::{damage, exercise};
use int8_common::{Rng, whole_net};
use proptest::prelude::*;
use vigie::detector::int8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_models_are_left_alone_or_run(seed: u64, wounds in 1usize..6) {
        let mut rng = Rng(seed);
        let mut model = whole_net(1);
        for _ in 0..wounds {
            damage(&mut model, &mut rng);
        }
        if let Ok(rewritten) = int8::rewrite(&mut model, &mut tract_onnx::onnx(), &int8::Options::default()) {
            for plan in &rewritten.plans {
                exercise(plan, &mut rng);
            }
        }
    }
}
