//! The integer engine against stock tract, which computes QDQ models in floats as ONNX defines them: every operation
//! within one step of the output's scale, and a whole network close.
#![allow(missing_docs, clippy::unwrap_used)]

mod int8_common;

use int8_common::{Net, Rng, attr_i, attr_is, attr_s, whole_net};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::*;
use vigie::detector::int8::exec::{Input, Output};
use vigie::detector::int8::{self, Rewritten, Runs};

fn run(onnx: &tract_onnx::Onnx, proto: &ModelProto, x: &Tensor) -> Vec<Vec<f32>> {
    let model = onnx.parse(proto, None).unwrap().model.into_optimized().unwrap().into_runnable().unwrap();
    let out = model.run(tvec!(x.clone().into())).unwrap();
    out.iter().map(|t| t.to_plain_array_view::<f32>().unwrap().iter().copied().collect()).collect()
}

/// Stock tract's results, ours, and what was rewritten.
fn both(
    proto: &ModelProto,
    x: &Tensor,
    kernels: &'static dyn int8::kernels::Kernels,
) -> (Vec<Vec<f32>>, Vec<Vec<f32>>, Rewritten) {
    let stock = run(&tract_onnx::onnx(), proto, x);
    let mut onnx = tract_onnx::onnx();
    let mut proto = proto.clone();
    let rewritten = int8::rewrite(&mut proto, &mut onnx, &int8::Options { kernels: Some(kernels) }).unwrap();
    (stock, run(&onnx, &proto, x), rewritten)
}

fn floats(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = Rng(seed);
    let n = shape.iter().product();
    // Values that a byte of scale 0.008 and zero point 5 stands for, so that no rounding of the input is a matter of taste.
    let v: Vec<f32> = (0..n).map(|_| (rng.next() % 256) as f32).map(|q| (q - 133.0) * 0.008).collect();
    Tensor::from_shape(shape, &v).unwrap()
}

/// Builds a model around one operation and asks that the engine takes all of it, within `steps` of `scale`.
fn one(shape: &[usize], out: &[usize], scale: f32, steps: f32, build: impl Fn(&mut Net, &str) -> String) {
    for seed in 0..4 {
        let mut net = Net::new(seed);
        let x = net.input("x", 1, shape);
        let x = net.qdq(&x, 0.008, 5);
        let y = build(&mut net, &x);
        net.output(&y, out);
        let proto = net.model();
        for kernels in int8::kernels::available() {
            let (stock, ours, rewritten) = both(&proto, &floats(shape, seed + 100), kernels);
            assert_eq!(rewritten.report.count(Runs::Tract), 0, "{:?}", rewritten.report);
            let spread = stock[0].iter().fold(0f32, |m, x| m.max(x.abs()));
            assert!(spread > 4.0 * scale, "the results are more than zeros: {spread}");
            for (i, (a, b)) in stock[0].iter().zip(&ours[0]).enumerate() {
                assert!((a - b).abs() <= scale * steps * 1.001, "{} at {i}: {b}, stock {a}", kernels.name());
            }
        }
    }
}

#[test]
fn convolutions_are_within_a_step() {
    for (k, stride, [h, w], [c, n]) in [
        (1, 1, [5, 7], [8, 24]),
        (3, 1, [6, 5], [16, 21]),
        (3, 2, [9, 6], [3, 16]),
        (3, 2, [8, 8], [24, 8]),
        (1, 2, [6, 6], [4, 4]),
    ] {
        let out = [1, n, (h - 1) / stride + 1, (w - 1) / stride + 1];
        one(&[1, c, h, w], &out, 0.02, 1.0, |net, x| {
            let y = net.conv(x, [n, c, k], stride as i64, false);
            net.qdq(&y, 0.02, -7)
        });
        one(&[1, c, h, w], &out, 0.01, 1.0, |net, x| {
            let y = net.conv(x, [n, c, k], stride as i64, false);
            let y = net.silu(&y);
            net.qdq(&y, 0.01, -100)
        });
        one(&[1, c, h, w], &out, 1e-4, 1.0, |net, x| net.conv(x, [n, c, k], stride as i64, false));
    }
}

#[test]
fn depthwise_is_within_a_step() {
    for (c, stride, [h, w]) in [(16, 1, [5, 7]), (24, 2, [9, 6]), (5, 1, [4, 4]), (48, 2, [8, 8])] {
        one(&[1, c, h, w], &[1, c, (h - 1) / stride + 1, (w - 1) / stride + 1], 0.01, 1.0, |net, x| {
            let y = net.conv(x, [c, c, 3], stride as i64, true);
            let y = net.silu(&y);
            net.qdq(&y, 0.01, -60)
        });
    }
}

#[test]
fn every_operation_between_its_own_qdq_is_within_a_step() {
    // Conv, Sigmoid and Mul each with Q and DQ around. The convolution's step of 0.02 is up to three of 0.01 behind.
    one(&[1, 8, 6, 6], &[1, 16, 6, 6], 0.01, 3.0, |net, x| {
        let y = net.conv(x, [16, 8, 3], 1, false);
        let y = net.qdq(&y, 0.02, 0);
        let s = net.node("Sigmoid", &[&y], vec![]);
        let s = net.qdq(&s, 1.0 / 255.0, -128);
        let y = net.node("Mul", &[&y, &s], vec![]);
        net.qdq(&y, 0.01, -90)
    });
}

#[test]
fn shortcuts_are_within_a_step() {
    one(&[1, 16, 5, 5], &[1, 16, 5, 5], 0.015, 1.0, |net, x| {
        let y = net.conv(x, [16, 16, 1], 1, false);
        let y = net.node("Add", &[x, &y], vec![]);
        net.qdq(&y, 0.015, 4)
    });
    one(&[1, 16, 5, 5], &[1, 16, 5, 5], 0.02, 1.0, |net, x| {
        let y = net.node("Relu", &[x], vec![]);
        let y = net.qdq(&y, 0.009, -128);
        let y = net.node("Add", &[&y, x], vec![]);
        net.qdq(&y, 0.02, 4)
    });
}

/// What a quantizer divides the channels by before they share one scale: some large, some small.
fn factors(net: &mut Net, x: &str, shape: &[usize]) -> String {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n).map(|c| [1.0, 0.3, 2.5, 0.04, 1.7][c % 5]).collect();
    let factors = net.f32s(shape, &values);
    net.node("Mul", &[x, &factors], vec![])
}

/// One factor a channel in front of QuantizeLinear is part of the layer, behind SiLU or without it.
#[test]
fn factors_of_the_channels_are_part_of_the_layer_before_them() {
    for (n, depthwise, silu) in
        [(24, false, true), (21, false, true), (16, true, true), (16, false, false), (5, true, true)]
    {
        let c = if depthwise { n } else { 16 };
        let layer = |net: &mut Net, x: &str| {
            let y = net.conv(x, [n, c, 3], 1, depthwise);
            let y = if silu { net.silu(&y) } else { y };
            let y = factors(net, &y, &[1, n, 1, 1]);
            net.qdq(&y, 0.01, -60)
        };
        one(&[1, c, 6, 6], &[1, n, 6, 6], 0.01, 1.0, layer);
    }
    one(&[4, 9, 24], &[4, 9, 40], 0.02, 1.0, |net, x| {
        let y = net.linear(x, 24, 40, true);
        let y = net.silu(&y);
        let y = factors(net, &y, &[40]);
        net.qdq(&y, 0.02, -60)
    });
    let expanded = |net: &mut Net, x: &str| {
        let y = net.conv(x, [16, 16, 1], 1, false);
        let y = net.silu(&y);
        let y = factors(net, &y, &[16, 1, 1]);
        let y = net.qdq(&y, 0.01, -60);
        let y = net.conv(&y, [16, 16, 3], 1, true);
        let y = net.silu(&y);
        let y = factors(net, &y, &[1, 16, 1, 1]);
        net.qdq(&y, 0.02, -60)
    };
    assert_eq!(steps(expanded), ["import", "quantize", "linear", "depthwise", "export"]);
}

/// Sixteen channels through a layer and SiLU, times a constant, to bytes or not.
fn times(shape: &[usize], values: &[f32], quantized: bool) -> Net {
    let mut net = Net::new(7);
    let x = net.input("x", 1, &[1, 16, 16, 16]);
    let x = net.qdq(&x, 0.008, 5);
    let y = net.conv(&x, [16, 16, 1], 1, false);
    let y = net.silu(&y);
    let f = net.f32s(shape, values);
    let y = net.node("Mul", &[&y, &f], vec![]);
    let y = if quantized { net.qdq(&y, 0.01, -60) } else { y };
    net.output(&y, &[1, 16, 16, 16]);
    net
}

/// What are no factors of the channels, or none that a layer's results can be multiplied by, stay with tract.
#[test]
fn other_factors_stay_with_tract() {
    let sixteen = |with: f32| (0..16).map(|c| if c == 5 { with } else { 0.5 }).collect::<Vec<f32>>();
    for (shape, values, quantized) in [
        (vec![1, 16, 1, 1], sixteen(0.0), true),
        (vec![1, 16, 1, 1], sixteen(-1.0), true),
        (vec![1, 16, 1, 1], sixteen(1e30), true),
        (vec![1, 16, 1, 1], sixteen(f32::INFINITY), true),
        // As long as there are channels, but along a row.
        (vec![1, 1, 1, 16], sixteen(0.7), true),
        (vec![16], sixteen(0.7), true),
        (vec![1, 1, 16, 1], sixteen(0.7), true),
        (vec![16, 16], sixteen(0.7).repeat(16), true),
        // Factors that end in floats.
        (vec![1, 16, 1, 1], sixteen(0.7), false),
    ] {
        let net = times(&shape, &values, quantized);
        let (stock, ours, rewritten) =
            both(&net.model(), &floats(&[1, 16, 16, 16], 3), int8::kernels::best());
        let left: Vec<_> = rewritten.report.layers.iter().filter(|l| l.runs == Runs::Tract).collect();
        assert!(left.iter().any(|layer| layer.op == "Mul"), "{shape:?} {}: {left:?}", values[5]);
        for (a, b) in stock[0].iter().zip(&ours[0]) {
            assert!((a - b).abs() <= 0.01001, "{shape:?} {}: {b}, stock {a}", values[5]);
        }
    }
    // Too few, too many, not a number, damaged: left alone as well, whatever tract says to them.
    let wrong = [(vec![1, 15, 1, 1], vec![0.5; 15]), (vec![1, 17, 1, 1], vec![0.5; 17])];
    let odd = [(vec![1, 16, 1, 1], sixteen(f32::NAN)), (vec![1, 16, 1, 1], vec![0.5; 3])];
    for (shape, values) in wrong.into_iter().chain(odd) {
        let net = times(&shape, &values, true);
        let options = int8::Options::default();
        let rewritten = int8::rewrite(&mut net.model(), &mut tract_onnx::onnx(), &options).unwrap();
        let left: Vec<_> = rewritten.report.layers.iter().filter(|l| l.runs == Runs::Tract).collect();
        assert!(left.iter().any(|layer| layer.op == "Mul"), "{shape:?} of {}: {left:?}", values.len());
    }
}

/// What the engine made of a model's nodes, tables and moves included.
fn steps(build: impl Fn(&mut Net, &str) -> String) -> Vec<String> {
    let mut net = Net::new(1);
    let x = net.input("x", 1, &[1, 16, 6, 6]);
    let x = net.qdq(&x, 0.008, 5);
    let y = build(&mut net, &x);
    net.output(&y, &[1, 16, 6, 6]);
    let options = int8::Options::default();
    let rewritten = int8::rewrite(&mut net.model(), &mut tract_onnx::onnx(), &options).unwrap();
    rewritten.report.layers.into_iter().map(|layer| layer.op).collect()
}

/// A Relu behind sums costs no pass of its own, and with what is requantized behind it is one table.
#[test]
fn relu_is_part_of_the_layer_before_it() {
    for zero in [-128, -7] {
        one(&[1, 16, 6, 6], &[1, 16, 6, 6], 0.015, 1.0, |net, x| {
            let y = net.conv(x, [16, 16, 3], 1, false);
            let y = net.node("Relu", &[&y], vec![]);
            net.qdq(&y, 0.015, zero)
        });
    }
    one(&[1, 16, 6, 6], &[1, 16, 6, 6], 0.015, 1.0, |net, x| {
        let y = net.conv(x, [16, 16, 3], 1, true);
        let y = net.node("Relu", &[&y], vec![]);
        net.qdq(&y, 0.015, -60)
    });
    let shortcut = |net: &mut Net, x: &str| {
        let y = net.conv(x, [16, 16, 1], 1, false);
        let y = net.node("Add", &[&y, x], vec![]);
        let y = net.node("Relu", &[&y], vec![]);
        net.qdq(&y, 0.015, -7)
    };
    one(&[1, 16, 6, 6], &[1, 16, 6, 6], 0.015, 1.0, shortcut);
    assert_eq!(steps(shortcut), ["import", "quantize", "linear", "export"]);
    let two = |net: &mut Net, x: &str| {
        let y = net.conv(x, [16, 16, 3], 1, false);
        let y = net.node("Relu", &[&y], vec![]);
        let y = net.qdq(&y, 0.015, -7);
        let y = net.node("Sigmoid", &[&y], vec![]);
        let y = net.qdq(&y, 1.0 / 255.0, -128);
        let y = net.conv(&y, [16, 16, 1], 1, false);
        net.qdq(&y, 0.02, 0)
    };
    assert_eq!(steps(two), ["import", "quantize", "conv", "linear", "export"]);
}

/// What nobody quantizes is no table.
#[test]
fn a_relu_that_becomes_floats_stays_with_tract() {
    let mut net = Net::new(7);
    let x = net.input("x", 1, &[1, 8, 6, 6]);
    let x = net.qdq(&x, 0.008, 5);
    let y = net.conv(&x, [8, 8, 1], 1, false);
    let y = net.node("Relu", &[&y], vec![]);
    net.output(&y, &[1, 8, 6, 6]);
    let (stock, ours, rewritten) = both(&net.model(), &floats(&[1, 8, 6, 6], 3), int8::kernels::best());
    assert_eq!(rewritten.report.count(Runs::Tract), 1, "{:?}", rewritten.report);
    assert!(stock[0].contains(&0.0) && stock[0].iter().zip(&ours[0]).all(|(a, b)| (a - b).abs() < 1e-4));
}

#[test]
fn linear_layers_are_within_a_step() {
    one(&[4, 9, 24], &[4, 9, 40], 0.02, 1.0, |net, x| {
        let y = net.linear(x, 24, 40, true);
        let y = net.silu(&y);
        net.qdq(&y, 0.02, -100)
    });
    one(&[4, 9, 24], &[4, 9, 10], 1e-4, 1.0, |net, x| net.linear(x, 24, 10, true));
}

#[test]
fn moves_are_exact() {
    one(&[1, 8, 6, 6], &[1, 16, 12, 12], 0.008, 0.01, |net, x| {
        let y =
            net.node("MaxPool", &[x], vec![attr_is("kernel_shape", &[5, 5]), attr_is("pads", &[2, 2, 2, 2])]);
        let y = net.qdq(&y, 0.008, 5);
        let y = net.node("Concat", &[&y, x], vec![attr_i("axis", 1)]);
        let y = net.qdq(&y, 0.008, 5);
        let scales = net.f32s(&[4], &[1.0, 1.0, 2.0, 2.0]);
        let modes = vec![
            attr_s("mode", "nearest"),
            attr_s("coordinate_transformation_mode", "asymmetric"),
            attr_s("nearest_mode", "floor"),
        ];
        let y = net.node("Resize", &[&y, "", &scales], modes);
        net.qdq(&y, 0.008, 5)
    });
    one(&[1, 8, 4, 6], &[4, 6, 8], 0.008, 0.01, |net, x| {
        let y = net.reshape(x, &[8, 4, 6]);
        let y = net.qdq(&y, 0.008, 5);
        net.transpose(&y, &[1, 2, 0])
    });
}

#[test]
fn squeezed_and_unsqueezed_bytes_are_the_same_bytes() {
    one(&[1, 8, 4, 6], &[1, 8, 4, 6], 0.02, 1.0, |net, x| {
        let first = net.i64s(&[0]);
        let y = net.node("Squeeze", &[x, &first], vec![]);
        let y = net.qdq(&y, 0.008, 5);
        let y = net.node("Unsqueeze", &[&y, &first], vec![]);
        let y = net.conv(&y, [8, 8, 1], 1, false);
        net.qdq(&y, 0.02, 0)
    });
    // All ones go where none is named; new ones are counted in the result, from either end.
    one(&[1, 8, 1, 6], &[8, 1, 6, 1, 1], 0.008, 0.01, |net, x| {
        let y = net.node("Squeeze", &[x], vec![]);
        let axes = net.i64s(&[-1, 1, 3]);
        net.node("Unsqueeze", &[&y, &axes], vec![])
    });
}

/// Before operator set 13 the axes were attributes, and Softmax by default took all axes from the second on for one.
#[test]
fn older_operator_sets_mean_what_they_meant() {
    let model = |version: i64, softmax: Option<i64>| {
        let mut net = Net::new(3);
        let x = net.input("x", 1, &[1, 4, 9, 24]);
        let x = net.qdq(&x, 0.008, 5);
        let x = match version {
            13.. => {
                let first = net.i64s(&[0]);
                net.node("Squeeze", &[&x, &first], vec![])
            }
            _ => net.node("Squeeze", &[&x], vec![attr_is("axes", &[0])]),
        };
        let qkv = net.linear(&x, 24, 48, false);
        let y = net.attention_along(&qkv, [4, 9, 2], softmax);
        let y = net.qdq(&y, 0.01, 0);
        net.output(&y, &[4, 9, 16]);
        net.model_of(version)
    };
    for (version, softmax, taken) in
        [(11, None, false), (11, Some(1), false), (11, Some(-1), true), (12, Some(3), true), (13, None, true)]
    {
        let what = format!("operator set {version}, Softmax along {softmax:?}");
        let (stock, ours, rewritten) =
            both(&model(version, softmax), &floats(&[1, 4, 9, 24], 8), int8::kernels::best());
        let left: Vec<_> = rewritten.report.layers.iter().filter(|l| l.runs == Runs::Tract).collect();
        assert_eq!(left.is_empty(), taken, "{what}: {left:?}");
        assert!(left.iter().all(|layer| layer.op != "Squeeze"), "{what}: {left:?}");
        for (a, b) in stock[0].iter().zip(&ours[0]) {
            assert!((a - b).abs() <= 0.01001, "{what}: {b}, stock {a}");
        }
    }
}

#[test]
fn concatenation_requantizes_within_a_step() {
    // A step of the convolution's 0.02 is up to two of 0.016.
    one(&[1, 8, 6, 6], &[1, 20, 6, 6], 0.016, 2.0, |net, x| {
        let y = net.conv(x, [12, 8, 1], 1, false);
        let y = net.qdq(&y, 0.02, 0);
        let y = net.node("Concat", &[&y, x], vec![attr_i("axis", 1)]);
        net.qdq(&y, 0.016, 9)
    });
}

#[test]
fn layer_norm_and_attention_are_within_a_step() {
    one(&[4, 9, 24], &[4, 9, 24], 0.03, 1.0, |net, x| {
        let y = net.layer_norm(x, 24);
        net.qdq(&y, 0.03, 2)
    });
    one(&[4, 9, 24], &[4, 9, 16], 0.01, 1.0, |net, x| {
        let qkv = net.linear(x, 24, 48, false);
        let y = net.attention(&qkv, [4, 9, 2]);
        net.qdq(&y, 0.01, 0)
    });
}

#[test]
fn what_is_not_recognized_stays_with_tract() {
    // Erf is nobody's here: it splits the graph into two regions, and a shortcut goes around it.
    let mut net = Net::new(7);
    let x = net.input("x", 1, &[1, 8, 6, 6]);
    let x = net.qdq(&x, 0.008, 5);
    let x = net.conv(&x, [8, 8, 3], 1, false);
    let x = net.qdq(&x, 0.02, 0);
    let y = net.node("Erf", &[&x], vec![]);
    net.value_info(&y, &[1, 8, 6, 6]);
    let y = net.qdq(&y, 0.008, 0);
    let y = net.conv(&y, [8, 8, 1], 1, false);
    let y = net.qdq(&y, 0.02, 0);
    let y = net.node("Add", &[&x, &y], vec![]);
    let y = net.qdq(&y, 0.02, 0);
    net.output(&y, &[1, 8, 6, 6]);
    let (stock, ours, rewritten) = both(&net.model(), &floats(&[1, 8, 6, 6], 3), int8::kernels::best());
    assert_eq!(rewritten.plans.len(), 2);
    let left: Vec<_> =
        rewritten.report.layers.iter().filter(|l| l.runs == Runs::Tract).map(|l| &*l.op).collect();
    assert_eq!(left, ["Erf"]);
    for (a, b) in stock[0].iter().zip(&ours[0]) {
        assert!((a - b).abs() <= 0.0601, "{b}, stock {a}");
    }
}

#[test]
fn a_model_in_floats_is_left_alone() {
    let mut net = Net::new(7);
    let x = net.input("x", 1, &[1, 8, 6, 6]);
    let y = net.silu(&x);
    net.output(&y, &[1, 8, 6, 6]);
    let proto = net.model();
    let mut rewritten = proto.clone();
    let r = int8::rewrite(&mut rewritten, &mut tract_onnx::onnx(), &int8::Options::default()).unwrap();
    assert_eq!(rewritten, proto);
    assert!(r.plans.is_empty() && r.report.count(Runs::Tract) == 2);
}

#[test]
fn a_whole_network_is_one_region_and_close_to_stock() {
    let proto = whole_net(1);
    let mut rng = Rng(5);
    let bytes: Vec<u8> = (0..3 * 256).map(|_| rng.next() as u8).collect();
    let x = Tensor::from_shape(&[1, 3, 16, 16], &bytes).unwrap();
    let mut first: Option<Vec<Vec<f32>>> = None;
    for kernels in int8::kernels::available() {
        let (stock, ours, rewritten) = both(&proto, &x, kernels);
        assert!(rewritten.whole, "{:?}", rewritten.report);
        for (stock, ours) in stock.iter().zip(&ours) {
            let error: f32 =
                stock.iter().zip(ours).map(|(a, b)| (a - b).abs()).sum::<f32>() / stock.len() as f32;
            let size: f32 = stock.iter().map(|a| a.abs()).sum::<f32>() / stock.len() as f32;
            assert!(error < 0.03 * size, "{}: mean error {error} of {size}", kernels.name());
        }
        // Attention's floats may differ in their last bits between kernels, so results are close, not the same.
        let first = first.get_or_insert_with(|| ours.clone());
        let apart = first.iter().flatten().zip(ours.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0f32, f32::max) < 0.1, "{}", kernels.name());
    }
}

#[test]
fn a_missing_output_is_an_error() {
    let mut net = Net::new(7);
    net.input("x", 1, &[1, 8, 6, 6]);
    net.output("nowhere", &[1]);
    let error =
        int8::rewrite(&mut net.model(), &mut tract_onnx::onnx(), &int8::Options::default()).unwrap_err();
    assert!(error.to_string().contains("\"nowhere\""), "{error}");
    let error = int8::rewrite(&mut ModelProto::default(), &mut tract_onnx::onnx(), &int8::Options::default());
    assert!(error.unwrap_err().to_string().contains("no graph"));
}

/// Every step of the same kernels, also those that are no product: what is chosen is what runs.
#[test]
fn a_plan_runs_on_the_kernels_that_were_chosen() {
    for kernels in int8::kernels::available() {
        let options = int8::Options { kernels: Some(kernels) };
        let rewritten = int8::rewrite(&mut whole_net(1), &mut tract_onnx::onnx(), &options).unwrap();
        assert!(rewritten.plans.iter().all(|plan| plan.kernels.name() == kernels.name()));
    }
}

/// The shipped model, whose large steps are worth cutting.
#[test]
fn the_results_are_the_same_on_any_number_of_threads() {
    let mut onnx = tract_onnx::onnx();
    let mut proto = onnx.proto_model_for_path("models/vigie-xxs-320-int8.onnx").unwrap();
    let rewritten = int8::rewrite(&mut proto, &mut onnx, &int8::Options::default()).unwrap();
    assert!(rewritten.whole, "{:?}", rewritten.report);
    let plan = &rewritten.plans[0];
    let mut rng = Rng(3);
    let bytes: Vec<u8> = (0..plan.inputs[0].shape.iter().product()).map(|_| rng.next() as u8).collect();
    let results = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let mut results: Vec<Vec<f32>> =
            plan.outputs.iter().map(|p| vec![0.0; p.shape.iter().product()]).collect();
        let mut outputs: Vec<Output<'_>> = results.iter_mut().map(|v| Output::F32(v)).collect();
        pool.install(|| plan.run(&mut plan.workspace(threads), &[Input::U8(&bytes)], &mut outputs, None));
        results
    };
    let one = results(1);
    assert!(one.iter().all(|head| head.iter().any(|x| *x != head[0])), "the results are more than constants");
    for threads in [2, 3, 7] {
        assert!(results(threads) == one, "{threads} threads compute something else");
    }
}
