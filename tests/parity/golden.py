"""Writes golden outputs, computed by onnxruntime, into a model: python golden.py MODEL.onnx [--tolerance T] [--beside]

Vigie runs a model at load on the picture below and compares (src/detector/golden.rs). The outputs go into the model's
metadata under `vigie.golden`, or with --beside into MODEL.onnx.golden.json. Needs numpy, onnx, onnxruntime.
"""
import argparse
import json

import numpy as np
import onnx
import onnxruntime as ort

PROBES = 256
EDGE = 1e-5


def picture(height, width):
    """The picture that every implementation can draw: height x width x 3, uint8, R G B."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing='ij')
    gradient = (x * (7 + 2 * c) + y * (5 + 3 * c)) >> 2
    blocks = (((x >> 4) ^ (y >> 4)) & 7) * 23
    curves = (x * x + y * y * (c + 1)) >> 7
    return ((gradient + blocks + curves) & 255).astype(np.uint8)


def feed(session, pixels):
    """The model's input of height x width x 3 pixels, as its type wants it."""
    kind = {'tensor(uint8)': np.uint8, 'tensor(float16)': np.float16, 'tensor(float)': np.float32}[session.get_inputs()[0].type]
    planes = pixels.transpose(2, 0, 1)[None]
    scaled = planes if kind == np.uint8 else (planes.astype(np.float32) / 255).astype(kind)
    return {session.get_inputs()[0].name: np.ascontiguousarray(scaled)}


def groups(names, outputs):
    """All values of boxes and of classes (as logits): of one decoded output, or of box8, cls8, box16, ..."""
    if len(outputs) == 1:
        p = np.clip(outputs[0][0, 4:].astype(np.float32), EDGE, 1 - EDGE)
        return outputs[0][0, :4].ravel(), np.log(p / (1 - p)).ravel()
    by_name = dict(zip(names, outputs))
    strides = sorted(int(n[3:]) for n in names if n.startswith('box'))
    join = lambda part: np.concatenate([by_name[f'{part}{s}'].ravel() for s in strides])
    return join('box'), join('cls')


def probe(values):
    k = np.arange(PROBES)
    return [float(f'{v:.6g}') for v in values[(2 * k + 1) * values.size // (2 * PROBES)]]


def golden(model_bytes, tolerance):
    session = ort.InferenceSession(model_bytes, providers=['CPUExecutionProvider'])
    height, width = session.get_inputs()[0].shape[2:]
    outputs = session.run(None, feed(session, picture(height, width)))
    boxes, classes = groups([o.name for o in session.get_outputs()], outputs)
    return dict(version=1, size=[height, width], tolerance=tolerance, boxes=probe(boxes), classes=probe(classes))


def embed(model, tolerance=None):
    """Sets `vigie.golden` in a loaded onnx.ModelProto."""
    if tolerance is None:  # Integer kernels may round differently in every layer.
        tolerance = 0.1 if any(n.op_type == 'QuantizeLinear' for n in model.graph.node) else 0.01
    rest = {p.key: p.value for p in model.metadata_props if p.key != 'vigie.golden'}
    value = golden(model.SerializeToString(), tolerance)
    onnx.helper.set_model_props(model, {**rest, 'vigie.golden': json.dumps(value, separators=(',', ':'))})
    return value


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model')
    parser.add_argument('--tolerance', type=float)
    parser.add_argument('--beside', action='store_true')
    args = parser.parse_args()
    loaded = onnx.load(args.model)
    value = embed(loaded, args.tolerance)
    if args.beside:
        with open(args.model + '.golden.json', 'w') as out:
            json.dump(value, out)
    else:
        onnx.save(loaded, args.model)
    print(f"{args.model}: {PROBES} probes each of boxes and classes, tolerance {value['tolerance']}")
