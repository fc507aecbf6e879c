#!/usr/bin/env python3
"""The float model as ncnn reads it: MODEL-fp32.onnx to OUT.param and OUT.bin, with Tencent's converter, pnnx.

    pip install onnx onnxruntime pnnx ncnn        # pnnx brings PyTorch with it
    python3 benches/peers/ncnn_model.py models/vigie-xxs-320-fp32.onnx build/vigie-xxs-320

ncnn has no conversion from bytes, so its model takes floats from 0 to 255. The weights are stored as halves, which is ncnn's
default. The result is compared with onnxruntime's on a random picture, and refused if it says something else.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

import ncnn
import numpy as np
import onnx
import onnxruntime as ort


def without_cast(path, to):
    """The model with a float input. -> its shape"""
    model = onnx.load(path)
    graph = model.graph
    cast = next(n for n in graph.node if n.op_type == "Cast" and n.input[0] == graph.input[0].name)
    for node in graph.node:
        for i, name in enumerate(node.input):
            if name == cast.output[0]:
                node.input[i] = cast.input[0]
    graph.node.remove(cast)
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, to)
    return [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    source, out = sys.argv[1], pathlib.Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        shape = without_cast(source, folder / "m.onnx")
        command = [shutil.which("pnnx") or pathlib.Path(sys.executable).with_name("pnnx"), "m.onnx", f"inputshape={shape}f32".replace(" ", "")]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode or not (folder / "m.ncnn.param").exists():
            raise SystemExit(f"error: pnnx made nothing of {source}:\n{(done.stdout + done.stderr)[-2000:]}")
        out.parent.mkdir(parents=True, exist_ok=True)
        for kind in "param", "bin":
            shutil.copy(folder / f"m.ncnn.{kind}", f"{out}.{kind}")
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: x})
    with ncnn.Net() as net:
        net.load_param(f"{out}.param")
        net.load_model(f"{out}.bin")
        with net.create_extractor() as run:
            run.input("in0", ncnn.Mat(x.astype(np.float32), batch_index=0).clone())
            got = [run.extract(f"out{i}")[1].numpy(batch_index=0).copy() for i in range(len(expected))]
    apart = max(float(np.abs(g - e).max() / e.std()) for g, e in zip(got, expected))
    if not apart < 0.05:
        raise SystemExit(f"error: ncnn's logits are up to {apart:.3f} of their spread away from onnxruntime's: not the same model")
    print(f"{out}.param, {out}.bin: logits at most {apart:.4f} of their spread away from onnxruntime's")


if __name__ == "__main__":
    main()
