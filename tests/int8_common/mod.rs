//! Small QDQ models, built node by node.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod damage;

use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};

/// Deterministic numbers.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    pub fn float(&mut self) -> f32 {
        (self.next() % 20001) as f32 / 10000.0 - 1.0
    }

    pub fn weight(&mut self) -> i8 {
        (self.next() % 255) as i8
    }
}

/// A graph that grows.
pub struct Net {
    pub graph: GraphProto,
    pub rng: Rng,
    count: usize,
}

pub fn attr_i(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: 2, ..AttributeProto::default() }
}

pub fn attr_f(name: &str, f: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f, r#type: 1, ..AttributeProto::default() }
}

pub fn attr_is(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.to_vec(), r#type: 7, ..AttributeProto::default() }
}

pub fn attr_s(name: &str, s: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: s.as_bytes().to_vec(), r#type: 3, ..AttributeProto::default() }
}

fn info(name: &str, elem_type: i32, shape: &[usize]) -> ValueInfoProto {
    let dim =
        |&d: &usize| Dimension { value: Some(dimension::Value::DimValue(d as i64)), ..Dimension::default() };
    let shape = TensorShapeProto { dim: shape.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type, shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value, ..TypeProto::default() }),
        ..Default::default()
    }
}

impl Net {
    pub fn new(seed: u64) -> Net {
        Net { graph: GraphProto { name: "g".into(), ..GraphProto::default() }, rng: Rng(seed), count: 0 }
    }

    pub fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}{}", self.count)
    }

    pub fn input(&mut self, name: &str, elem_type: i32, shape: &[usize]) -> String {
        self.graph.input.push(info(name, elem_type, shape));
        name.into()
    }

    pub fn output(&mut self, name: &str, shape: &[usize]) {
        self.graph.output.push(info(name, 1, shape));
    }

    pub fn value_info(&mut self, name: &str, shape: &[usize]) {
        self.graph.value_info.push(info(name, 1, shape));
    }

    pub fn node(&mut self, op: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let out = self.fresh(op);
        self.node_to(op, inputs, &[&out], attribute);
        out
    }

    pub fn node_to(&mut self, op: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            op_type: op.into(),
            name: format!("node.{}", outputs[0]),
            input: inputs.iter().map(|&s| s.into()).collect(),
            output: outputs.iter().map(|&s| s.into()).collect(),
            attribute,
            ..NodeProto::default()
        });
    }

    fn tensor(&mut self, data_type: i32, shape: &[usize], raw_data: Vec<u8>) -> String {
        let name = self.fresh("const");
        let dims = shape.iter().map(|&d| d as i64).collect();
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            data_type,
            dims,
            raw_data,
            ..Default::default()
        });
        name
    }

    pub fn f32s(&mut self, shape: &[usize], v: &[f32]) -> String {
        self.tensor(1, shape, v.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    pub fn i64s(&mut self, v: &[i64]) -> String {
        self.tensor(7, &[v.len()], v.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    pub fn i8s(&mut self, shape: &[usize], v: &[i8]) -> String {
        self.tensor(3, shape, v.iter().map(|&x| x as u8).collect())
    }

    /// QuantizeLinear and DequantizeLinear.
    pub fn qdq(&mut self, x: &str, scale: f32, zero: i8) -> String {
        let (s, z) = (self.f32s(&[], &[scale]), self.i8s(&[], &[zero]));
        let q = self.node("QuantizeLinear", &[x, &s, &z], vec![]);
        self.node("DequantizeLinear", &[&q, &s, &z], vec![])
    }

    /// Dequantized weights.
    pub fn weights(&mut self, shape: &[usize], axis: i64, scale: f32) -> String {
        let n = shape.iter().product();
        let channels = shape[axis as usize];
        let data: Vec<i8> = (0..n).map(|_| self.rng.weight()).collect();
        let scales: Vec<f32> = (0..channels).map(|_| scale * (1.2 + self.rng.float())).collect();
        let (w, s) = (self.i8s(shape, &data), self.f32s(&[channels], &scales));
        let z = self.i8s(&[channels], &vec![0; channels]);
        self.node("DequantizeLinear", &[&w, &s, &z], vec![attr_i("axis", axis)])
    }

    pub fn conv(&mut self, x: &str, [n, c, k]: [usize; 3], stride: i64, depthwise: bool) -> String {
        let depth = if depthwise { 1 } else { c };
        let w = self.weights(&[n, depth, k, k], 0, 0.5 / (127.0 * ((depth * k * k) as f32).sqrt()));
        let bias: Vec<f32> = (0..n).map(|_| self.rng.float() * 0.3).collect();
        let b = self.f32s(&[n], &bias);
        let pad = (k / 2) as i64;
        let attributes = vec![
            attr_is("kernel_shape", &[k as i64, k as i64]),
            attr_is("strides", &[stride, stride]),
            attr_is("pads", &[pad, pad, pad, pad]),
            attr_is("dilations", &[1, 1]),
            attr_i("group", if depthwise { c as i64 } else { 1 }),
        ];
        self.node("Conv", &[x, &w, &b], attributes)
    }

    pub fn silu(&mut self, x: &str) -> String {
        let s = self.node("Sigmoid", &[x], vec![]);
        self.node("Mul", &[x, &s], vec![])
    }

    pub fn linear(&mut self, x: &str, k: usize, n: usize, bias: bool) -> String {
        let w = self.weights(&[k, n], 1, 1.0 / (127.0 * (k as f32).sqrt()));
        let y = self.node("MatMul", &[x, &w], vec![]);
        if !bias {
            return y;
        }
        let values: Vec<f32> = (0..n).map(|_| self.rng.float()).collect();
        let b = self.f32s(&[n], &values);
        self.node("Add", &[&b, &y], vec![])
    }

    pub fn layer_norm(&mut self, x: &str, n: usize) -> String {
        let gamma: Vec<f32> = (0..n).map(|_| 1.0 + 0.3 * self.rng.float()).collect();
        let beta: Vec<f32> = (0..n).map(|_| 0.3 * self.rng.float()).collect();
        let (g, b) = (self.f32s(&[n], &gamma), self.f32s(&[n], &beta));
        self.node("LayerNormalization", &[x, &g, &b], vec![attr_i("axis", -1), attr_f("epsilon", 1e-5)])
    }

    pub fn reshape(&mut self, x: &str, shape: &[i64]) -> String {
        let s = self.i64s(shape);
        self.node("Reshape", &[x, &s], vec![])
    }

    pub fn transpose(&mut self, x: &str, perm: &[i64]) -> String {
        self.node("Transpose", &[x], vec![attr_is("perm", perm)])
    }

    /// Self-attention over `[sequences, tokens, 3 * heads * 8]`, as PyTorch exports it.
    pub fn attention(&mut self, qkv: &str, sizes: [i64; 3]) -> String {
        self.attention_along(qkv, sizes, Some(-1))
    }

    /// The same, its Softmax along an axis, or as the operator set has it by default.
    pub fn attention_along(&mut self, qkv: &str, [b, n, heads]: [i64; 3], softmax: Option<i64>) -> String {
        let axis = self.i64s(&[2]);
        let inner = heads * 8;
        let parts: Vec<String> = (0..3)
            .map(|i| {
                let (from, to) = (self.i64s(&[i * inner]), self.i64s(&[(i + 1) * inner]));
                let x = self.node("Slice", &[qkv, &from, &to, &axis], vec![]);
                let x = self.reshape(&x, &[b, n, heads, 8]);
                self.transpose(&x, if i == 1 { &[0, 2, 3, 1] } else { &[0, 2, 1, 3] })
            })
            .collect();
        let scores = self.node("MatMul", &[&parts[0], &parts[1]], vec![]);
        let scale = self.f32s(&[], &[8f32.powf(-0.5)]);
        let scores = self.node("Mul", &[&scores, &scale], vec![]);
        let weights =
            self.node("Softmax", &[&scores], softmax.map(|axis| attr_i("axis", axis)).into_iter().collect());
        let y = self.node("MatMul", &[&weights, &parts[2]], vec![]);
        let y = self.transpose(&y, &[0, 2, 1, 3]);
        self.reshape(&y, &[b, n, inner])
    }

    pub fn model(self) -> ModelProto {
        self.model_of(17)
    }

    /// In an operator set of ONNX's.
    pub fn model_of(self, version: i64) -> ModelProto {
        let opset_import = vec![OperatorSetIdProto { domain: String::new(), version }];
        ModelProto { ir_version: 8, opset_import, graph: Some(self.graph), ..ModelProto::default() }
    }
}

/// A MobileViT block with everything around it that the engine knows; 1×3×16×16 bytes in, two floats out.
pub fn whole_net(seed: u64) -> ModelProto {
    let mut net = Net::new(seed);
    let x = net.input("images", 2, &[1, 3, 16, 16]);
    let x = net.node("Cast", &[&x], vec![attr_i("to", 1)]);
    let c = net.f32s(&[], &[1.0 / 255.0]);
    let x = net.node("Mul", &[&x, &c], vec![]);
    let x = net.qdq(&x, 1.0 / 255.0, -128);
    let x = net.conv(&x, [16, 3, 3], 2, false);
    let x = net.silu(&x);
    let x = net.qdq(&x, 0.01, -100);
    let y = net.conv(&x, [16, 16, 3], 1, true);
    let y = net.silu(&y);
    let y = net.qdq(&y, 0.008, -90);
    let y = net.conv(&y, [16, 16, 1], 1, false);
    let y = net.node("Add", &[&x, &y], vec![]);
    let x = net.qdq(&y, 0.012, -10);
    let y = net.conv(&x, [24, 16, 1], 1, false);
    let y = net.silu(&y);
    // 1×24×8×8 to four sequences of sixteen tokens.
    let y = net.reshape(&y, &[24 * 4, 2, 4, 2]);
    let y = net.transpose(&y, &[0, 2, 1, 3]);
    let y = net.reshape(&y, &[1, 24, 16, 4]);
    let y = net.transpose(&y, &[0, 3, 2, 1]);
    let y = net.reshape(&y, &[4, 16, 24]);
    let n = net.layer_norm(&y, 24);
    let n = net.qdq(&n, 0.03, 3);
    let qkv = net.linear(&n, 24, 48, false);
    let a = net.attention(&qkv, [4, 16, 2]);
    let a = net.qdq(&a, 0.02, 0);
    let a = net.linear(&a, 16, 24, true);
    let y = net.node("Add", &[&a, &y], vec![]);
    let n = net.layer_norm(&y, 24);
    let n = net.qdq(&n, 0.03, 3);
    let m = net.linear(&n, 24, 32, true);
    let m = net.silu(&m);
    let m = net.qdq(&m, 0.02, -80);
    let m = net.linear(&m, 32, 24, true);
    let y = net.node("Add", &[&m, &y], vec![]);
    let y = net.reshape(&y, &[1, 4, 16, 24]);
    let y = net.transpose(&y, &[0, 3, 2, 1]);
    let y = net.reshape(&y, &[24 * 4, 4, 2, 2]);
    let y = net.transpose(&y, &[0, 2, 1, 3]);
    let y = net.reshape(&y, &[1, 24, 8, 8]);
    let y = net.qdq(&y, 0.04, 0);
    let y = net.conv(&y, [16, 24, 1], 1, false);
    let y = net.silu(&y);
    let y = net.qdq(&y, 0.012, -10);
    let y = net.node("Concat", &[&y, &x], vec![attr_i("axis", 1)]);
    let y = net.qdq(&y, 0.012, -10);
    let y =
        net.node("MaxPool", &[&y], vec![attr_is("kernel_shape", &[5, 5]), attr_is("pads", &[2, 2, 2, 2])]);
    let y = net.qdq(&y, 0.012, -10);
    let scales = net.f32s(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let modes = vec![
        attr_s("mode", "nearest"),
        attr_s("coordinate_transformation_mode", "asymmetric"),
        attr_s("nearest_mode", "floor"),
    ];
    let up = net.node("Resize", &[&y, "", &scales], modes);
    let up = net.qdq(&up, 0.012, -10);
    let halves = net.i64s(&[16, 16]);
    net.node_to("Split", &[&up, &halves], &["half0", "half1"], vec![attr_i("axis", 1)]);
    for (i, half) in ["half0", "half1"].into_iter().enumerate() {
        let half = net.qdq(half, 0.012, -10);
        let mut y = net.conv(&half, [21, 16, 1], 1, false);
        net.graph.node.last_mut().unwrap().output[0] = format!("out{i}");
        y.clear();
        net.output(&format!("out{i}"), &[1, 21, 16, 16]);
    }
    net.model()
}
