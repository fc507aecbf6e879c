"""Makes the fixtures of tests/detector_parity.rs: python make.py [PICTURE...]; again whenever a model in models/ changes.

Each picture is letterboxed to 320 x 320 and saved as a lossless PNG tensor; onnxruntime runs every model on every tensor, and
a plain NumPy post-processing writes what must be detected. The tiny models (random weights, YOLOv8's graph of heads) are
made here too, in every layout. The committed fixtures come from scikit-image's astronaut.png (NASA, public domain) and
chelsea.png (CC0). Needs training/ installed.
"""
import hashlib
import json
import pathlib
import sys
import tempfile

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from vigie_training.golden import add_golden, feed

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parent.parent / 'models'
CLASSES, BINS, SIDE, TINY, SLOTS = 3, 16, 320, 64, 24
SCORE, IOU, MOST = 0.1, 0.7, 300


def letterbox(picture, side):
    h, w = picture.shape[:2]
    scale = min(side / h, side / w)
    nh, nw = round(h * scale), round(w * scale)
    out = np.full((side, side, 3), 114, np.uint8)
    top, left = (side - nh) // 2, (side - nw) // 2
    out[top:top + nh, left:left + nw] = cv2.resize(picture, (nw, nh), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return out


# --- tiny models: a strided convolution for each stride, then YOLOv8's heads ---

class Graph:
    def __init__(self, seed):
        self.nodes, self.weights, self.rng = [], [], np.random.default_rng(seed)

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, cin, cout, kernel, stride, name, gain=1.0):
        w = self.rng.normal(0, gain / (cin * kernel * kernel) ** 0.5, (cout, cin, kernel, kernel)).astype(np.float32)
        b = self.rng.normal(0, 0.5 * gain, cout).astype(np.float32)
        inputs = [x, self.weight(name + '.w', w), self.weight(name + '.b', b)]
        return self.node('Conv', inputs, name, kernel_shape=[kernel] * 2, strides=[stride] * 2)


def tiny(layout, element=TensorProto.FLOAT, dynamic=False, meta=()):
    g = Graph(7)
    x = 'images'
    if element != TensorProto.FLOAT:
        x = g.node('Cast', [x], 'cast', to=TensorProto.FLOAT)
    if element == TensorProto.UINT8:
        x = g.node('Mul', [x, g.weight('scale', np.float32(1 / 255))], 'scaled')
    heads = []
    for stride in (8, 16, 32):
        y = g.conv(x, 3, 8, 4, stride, f'stem{stride}', gain=3.0)
        y = g.node('Mul', [y, g.node('Sigmoid', [y], f'sig{stride}')], f'act{stride}')
        raw = layout == 'raw'
        heads.append((g.conv(y, 8, 4 * BINS, 1, 1, f'box{stride}' if raw else f'b{stride}', gain=2.0),
                      g.conv(y, 8, CLASSES, 1, 1, f'cls{stride}' if raw else f'c{stride}', gain=2.0), stride))
    if layout == 'raw':
        outputs = []
        for box, cls, s in heads:
            outputs += [(box, [1, 4 * BINS, TINY // s, TINY // s]), (cls, [1, CLASSES, TINY // s, TINY // s])]
    else:
        outputs = [('output0', [1, 4 + CLASSES, 'anchors' if dynamic else sum((TINY // s) ** 2 for s in (8, 16, 32))])]
        decode(g, heads)
    if layout == 'end2end':
        outputs = [('output0', [1, SLOTS, 6])]
        choose(g)
    h, w = ('height', 'width') if dynamic else (TINY, TINY)
    if element == TensorProto.FLOAT16 and layout != 'raw':
        g.nodes[-1].name = g.nodes[-1].output[0] = 'wide'
        g.node('Cast', ['wide'], 'output0', to=element)
    graph = helper.make_graph(
        g.nodes, 'tiny', [helper.make_tensor_value_info('images', element, [1, 3, h, w])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT16 if element == TensorProto.FLOAT16 and layout != 'raw' else TensorProto.FLOAT, s)
         for n, s in outputs], g.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    names = {0: 'person', 1: "driver's cat", 2: 'car'}
    props = dict(task='detect', stride='32', imgsz=str([TINY, TINY]), names=str(names))
    props.update({'vigie.layout': 'raw', 'vigie.reg_max': str(BINS), 'vigie.version': '1'} if layout == 'raw' else {})
    helper.set_model_props(model, {k: v for k, v in {**props, **dict(meta)}.items() if v is not None})
    onnx.checker.check_model(model)
    return model


def decode(g, heads):
    """YOLOv8's decoding inside the graph."""
    flat = lambda part: [g.node('Reshape', [h[part], g.weight(f'shape.{h[part]}', np.int64([1, 4 * BINS if part == 0 else CLASSES, -1]))],
                                f'flat.{h[part]}') for h in heads]
    boxes, classes = g.node('Concat', flat(0), 'boxes', axis=2), g.node('Concat', flat(1), 'classes', axis=2)
    points = np.concatenate([np.stack(np.meshgrid(np.arange(TINY // s) + .5, np.arange(TINY // s) + .5), -1).reshape(-1, 2) for *_, s in heads])
    strides = np.concatenate([np.full((TINY // s) ** 2, s) for *_, s in heads]).astype(np.float32)
    d = g.node('Reshape', [boxes, g.weight('bins', np.int64([1, 4, BINS, -1]))], 'distributions')
    d = g.node('Softmax', [d], 'softmax', axis=2)
    d = g.node('Mul', [d, g.weight('arange', np.arange(BINS, dtype=np.float32).reshape(1, 1, BINS, 1))], 'weighted')
    d = g.node('ReduceSum', [d, g.weight('axis', np.int64([2]))], 'distances', keepdims=0)
    g.nodes.append(helper.make_node('Split', [d], ['lt', 'rb'], name='sides', axis=1))
    a = g.weight('points', points.T[None].astype(np.float32))
    lo, hi = g.node('Sub', [a, 'lt'], 'lo'), g.node('Add', [a, 'rb'], 'hi')
    centre = g.node('Mul', [g.node('Add', [lo, hi], 'sum'), g.weight('half', np.float32(0.5))], 'centre')
    b = g.node('Concat', [centre, g.node('Sub', [hi, lo], 'size')], 'unscaled', axis=1)
    b = g.node('Mul', [b, g.weight('strides', strides[None, None])], 'scaledboxes')
    g.node('Concat', [b, g.node('Sigmoid', [classes], 'scores')], 'output0', axis=1)


def choose(g):
    """The best SLOTS of all anchors and classes, as YOLOv10's and YOLO26's heads choose them: corners, score, class."""
    g.nodes[-1].name = g.nodes[-1].output[0] = 'all'
    corners = g.node('Mul', [g.node('Concat', ['lo', 'hi'], 'corners', axis=1), 'strides'], 'pixels')
    boxes = g.node('Transpose', [corners], 'boxrows', perm=[0, 2, 1])
    scores = g.node('Transpose', ['scores'], 'scorerows', perm=[0, 2, 1])
    k = g.weight('k', np.int64([SLOTS]))
    g.nodes.append(helper.make_node('TopK', [g.node('ReduceMax', [scores], 'best', axes=[-1], keepdims=0), k], ['v0', 'i0'], name='top0', axis=-1))
    rows = g.node('Unsqueeze', ['i0', g.weight('last', np.int64([-1]))], 'rows')
    tile = lambda n: g.node('Tile', [rows, g.weight(f'tile{n}', np.int64([1, 1, n]))], f'rows{n}')
    boxes = g.node('GatherElements', [boxes, tile(4)], 'boxes0', axis=1)
    scores = g.node('GatherElements', [scores, tile(CLASSES)], 'scores0', axis=1)
    flat = g.node('Reshape', [scores, g.weight('flat', np.int64([1, SLOTS * CLASSES]))], 'flatscores')
    g.nodes.append(helper.make_node('TopK', [flat, k], ['v1', 'i1'], name='top1', axis=-1))
    n = g.weight('classes.n', np.int64(CLASSES))
    row = g.node('Unsqueeze', [g.node('Div', ['i1', n], 'row'), 'last'], 'row1')
    boxes = g.node('GatherElements', [boxes, g.node('Tile', [row, 'tile4'], 'rowsof4')], 'boxes1', axis=1)
    label = g.node('Cast', [g.node('Unsqueeze', [g.node('Mod', ['i1', n], 'label'), 'last'], 'label1')], 'labels', to=TensorProto.FLOAT)
    g.node('Concat', [boxes, g.node('Unsqueeze', ['v1', 'last'], 'score1'), label], 'output0', axis=2)


def halved(model):
    """The model with 16-bit floats throughout, as half=True exports it."""
    result = onnx.ModelProto.FromString(model.SerializeToString())
    for w in result.graph.initializer:
        if w.data_type == TensorProto.FLOAT:
            w.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(w).astype(np.float16), w.name))
    for info in [*result.graph.input, *result.graph.output]:
        info.type.tensor_type.elem_type = TensorProto.FLOAT16
    return result


def quantized(model):
    """The model with every convolution quantized, as onnxruntime's own tool does it."""
    class Noise(CalibrationDataReader):
        feeds = iter([{'images': np.random.default_rng(i).integers(0, 256, (1, 3, TINY, TINY), np.uint8)} for i in range(4)])

        def get_next(self):
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        float_, bytes_ = f'{folder}/f.onnx', f'{folder}/q.onnx'
        onnx.save(model, float_)
        quantize_static(float_, bytes_, Noise(), per_channel=True, activation_type=QuantType.QInt8,
                        op_types_to_quantize=['Conv', 'Mul', 'Sigmoid'], nodes_to_exclude=[n.name for n in model.graph.node if n.name in ('cast', 'scaled')])
        result = onnx.load(bytes_)
    del result.metadata_props[:]
    helper.set_model_props(result, {p.key: p.value for p in model.metadata_props if p.key != 'vigie.golden'})
    return result


# --- the reference: NumPy, as plainly as it can be said ---

def reference(session, outputs, side):
    names = [o.name for o in session.get_outputs()]
    if outputs[0].shape[1:] == (SLOTS, 6):
        rows = [r for r in outputs[0][0] if r[4] >= SCORE]
        return [dict(class_id=int(r[5]), score=round(float(r[4]), 6), box=[round(float(v), 4) for v in r[:4].clip(0, side)]) for r in rows]
    if len(names) == 1:
        p = outputs[0][0].astype(np.float32)
        (cx, cy, w, h), scores = p[:4], p[4:]
        boxes = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], 1)
    else:
        boxes, scores = [], []
        for s in (8, 16, 32):
            box, cls = outputs[names.index(f'box{s}')][0], outputs[names.index(f'cls{s}')][0]
            logits = box.reshape(4, BINS, -1).astype(np.float64)
            e = np.exp(logits - logits.max(1, keepdims=True))
            l, t, r, b = (e / e.sum(1, keepdims=True) * np.arange(BINS)[None, :, None]).sum(1)
            y, x = np.divmod(np.arange(box.shape[1] * box.shape[2]), box.shape[2])
            boxes.append(np.stack([x + .5 - l, y + .5 - t, x + .5 + r, y + .5 + b], 1) * s)
            scores.append(1 / (1 + np.exp(-cls.reshape(cls.shape[0], -1).astype(np.float64))))
        boxes, scores = np.concatenate(boxes), np.concatenate(scores, 1)
    best = scores.argmax(0)
    found = sorted(((float(scores[c, i]), int(c), boxes[i]) for i, c in enumerate(best) if scores[c, i] >= SCORE), key=lambda d: -d[0])
    kept = []
    for d in found:
        if all(k[1] != d[1] or iou(k[2], d[2]) <= IOU for k in kept):
            kept.append(d)
    return [dict(class_id=c, score=round(s, 6), box=[round(float(v), 4) for v in b.clip(0, side)]) for s, c, b in kept[:MOST]]


def iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    area = lambda r: (r[2] - r[0]) * (r[3] - r[1])
    return w * h / (area(a) + area(b) - w * h)


def main(pictures):
    made = {
        'tiny-stock': tiny('stock'),
        'tiny-stock-f16': tiny('stock', TensorProto.FLOAT16),
        'tiny-raw': tiny('raw', TensorProto.UINT8),
    }
    made['tiny-end2end'] = tiny('end2end')
    made['tiny-half'] = halved(made['tiny-stock'])
    made['tiny-qdq'] = quantized(made['tiny-raw'])
    for name, model in made.items():
        # The rows of an end-to-end head are in no certain order.
        if name != 'tiny-end2end':
            add_golden(model)
        onnx.save(model, HERE / f'{name}.onnx')
    # What must be refused, each with its reason.
    onnx.save(tiny('stock', dynamic=True), HERE / 'tiny-dynamic.onnx')
    onnx.save(tiny('stock', meta={'task': 'segment'}.items()), HERE / 'tiny-segment.onnx')
    onnx.save(tiny('stock', meta={'names': None}.items()), HERE / 'tiny-nameless.onnx')
    wrong = tiny('raw', TensorProto.UINT8)
    add_golden(wrong)
    for w in wrong.graph.initializer:  # As if a kernel lost a channel.
        if w.name == 'cls16.w':
            a = numpy_helper.to_array(w).copy()
            a[1] = 0
            w.CopyFrom(numpy_helper.from_array(a, w.name))
    onnx.save(wrong, HERE / 'tiny-wrong.onnx')

    for path in pictures:
        picture = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        stem = pathlib.Path(path).stem
        cv2.imwrite(str(HERE / f'{stem}.png'), cv2.cvtColor(letterbox(picture, SIDE), cv2.COLOR_RGB2BGR))
    tensors = sorted(HERE.glob('*.png'))
    expected = []
    # Integer kernels round differently; the golden outputs allow for that.
    models = [(f'tests/parity/{n}.onnx', HERE / f'{n}.onnx') for n in made if n != 'tiny-qdq']
    models += [(f'models/{p.name}', p) for p in sorted(MODELS.glob('*-fp32.onnx'))]
    for shown, path in models:
        session = ort.InferenceSession(str(path), providers=['CPUExecutionProvider'])
        for tensor in tensors:
            pixels = cv2.cvtColor(cv2.imread(str(tensor)), cv2.COLOR_BGR2RGB)
            side = session.get_inputs()[0].shape[2]
            pixels = np.ascontiguousarray(pixels[:: SIDE // side, :: SIDE // side])
            found = reference(session, session.run(None, feed(session, pixels)), side)
            expected.append(dict(model=shown, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), tensor=tensor.name, step=SIDE // side, detections=found))
            print(shown, tensor.name, len(found), found[:2])
    with open(HERE / 'expected.json', 'w') as out:
        json.dump(dict(score=SCORE, iou=IOU, made_by='onnxruntime ' + ort.__version__, runs=expected), out, indent=1)


if __name__ == '__main__':
    main(sys.argv[1:])
