//! The integer engine: standard QDQ ONNX in, fused signed-byte operations with our own inner loops out.

pub mod kernels;
