"""Makes of a YOLOX export (Ge et al. 2021, arXiv 2107.08430) what Vigie reads: a detector under the Apache licence that can label, or watch.

    vigie-adapt yolox_s.onnx --out yolox_s-vigie.onnx
    vigie-adapt yolox_s.onnx --size 960 --out yolox_s-vigie.onnx      # for labelling: finds smaller things, and takes longer
    vigie-adapt mine.onnx --names fox badger --out mine-vigie.onnx

YOLOX takes B G R from 0 to 255 and gives 1 x places x (5 + classes): centres and sizes in units of its strides, and an objectness by which
the classes' probabilities are yet to be multiplied. Written is the same network, fed R G B from 0 to 1, that gives 1 x (4 + classes) x places
in pixels, as Ultralytics' exports do.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from .checkpoint import replacing
from .errors import InputError, run_command
from .export import parse_size
from .onnx_graph import get_metadata, set_metadata

STRIDES = (8, 16, 32)
COCO = """person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,bird,cat,dog,
horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,
baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,
hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,
sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush""".replace("\n", "").split(",")


def main() -> None:
    """The command `vigie-adapt`."""
    p = argparse.ArgumentParser(prog="vigie-adapt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="ONNX file as YOLOX's tools/export_onnx.py writes it")
    p.add_argument("--out", required=True, help="the ONNX file for Vigie")
    p.add_argument("--names", nargs="+", metavar="CLASS", help="the classes, in their order (default: COCO's 80)")
    p.add_argument("--size", help="input size: one multiple of 64, or HEIGHTxWIDTH (default: the export's)")
    p.add_argument("--decoded", action="store_true", help="its boxes are in pixels already (it was exported with --decode_in_inference)")
    args = p.parse_args()
    run_command(lambda: command(args))


def command(args: argparse.Namespace) -> None:
    """Everything between the arguments and the file."""
    path = Path(args.model)
    try:
        model = onnx.load(path)
    except Exception as error:
        raise InputError(f"{path} cannot be read as ONNX: {str(error).splitlines()[0]}") from error
    if args.size:
        resize(model, parse_size(args.size), path)
    size, places, classes = shape_of(model, path)
    names = args.names or COCO
    if len(names) != classes:
        raise InputError(f"{path} has {classes} classes, and {len(names)} are named", "give each a name, in their order: --names fox badger")
    wrap(model, size, places, args.decoded)
    set_metadata(model, get_metadata(model) | metadata(names, size, path))
    onnx.checker.check_model(model)
    with replacing(Path(args.out)) as temporary:
        onnx.save(model, temporary)
    print(f"{args.out}: {size[1]}x{size[0]}, {classes} classes, {places} places")


def resize(model: ModelProto, size: tuple[int, int], path: Path) -> None:
    """Let the network look at pictures of another size: its weights are those of convolutions, which don't mind."""
    for port, dims in ((model.graph.input[0], (1, 3, *size)), (model.graph.output[0], None)):
        for i, d in enumerate(port.type.tensor_type.shape.dim):
            d.Clear()
            if dims and i < len(dims):
                d.dim_value = dims[i]
    del model.graph.value_info[:]
    try:
        model.CopyFrom(onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))
    except onnx.shape_inference.InferenceError as error:
        raise InputError(f"{path} can't be made {size[0]}x{size[1]}: its graph has sizes in it", "export it for that size") from error


def shape_of(model: ModelProto, path: Path) -> tuple[tuple[int, int], int, int]:
    """-> height and width, number of places, number of classes."""
    makes = "export it with YOLOX's tools/export_onnx.py, without --dynamic"
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        raise InputError(f"{path} has {len(model.graph.input)} inputs and {len(model.graph.output)} outputs, YOLOX's export has one of each", makes)
    fed, given = (_dims(port[0]) for port in (model.graph.input, model.graph.output))
    if len(fed) != 4 or fed[:2] != [1, 3] or not all(fed):
        raise InputError(f"{path} takes {_shown(fed)}, YOLOX's export 1x3xHEIGHTxWIDTH", makes)
    height, width = fed[2:]
    places = sum((height // s) * (width // s) for s in STRIDES)
    if len(given) != 3 or given[:2] != [1, places] or given[2] < 6:
        raise InputError(f"{path} gives {_shown(given)}, YOLOX's export 1x{places}x(5 + classes) for {width}x{height} pixels", makes)
    return (height, width), places, given[2] - 5


def _dims(port: onnx.ValueInfoProto) -> list[int]:
    return [d.dim_value for d in port.type.tensor_type.shape.dim]


def _shown(dims: list[int]) -> str:
    return "x".join(str(d or "?") for d in dims)


def wrap(model: ModelProto, size: tuple[int, int], places: int, decoded: bool) -> None:
    """Put what Vigie feeds in front and what it reads behind; in place."""
    graph, own = model.graph, "vigie."
    inner, outer, raw = graph.input[0].name, own + "images", graph.output[0].name
    constants = {
        "scale": np.float32(255), "bgr": np.array([2, 1, 0], np.int64),
        "0": np.array([0], np.int64), "2": np.array([2], np.int64), "4": np.array([4], np.int64), "5": np.array([5], np.int64),
        "end": np.array([2**31 - 1], np.int64),
    }  # fmt: skip
    if not decoded:
        constants |= dict(zip(("grid", "stride"), grid(size)))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), own + k) for k, v in constants.items())

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], name="vigie/" + output.removeprefix(own), **attributes)

    def part(start: str, end: str, output: str) -> onnx.NodeProto:
        return node("Slice", [raw, own + start, own + end, own + "2"], own + output)

    front = [node("Gather", [outer, own + "bgr"], own + "reordered", axis=1), node("Mul", [own + "reordered", own + "scale"], inner)]
    behind = [part("0", "2", "centres"), part("2", "4", "sizes"), part("4", "5", "objectness"), part("5", "end", "classes")]
    centres, sizes = own + "centres", own + "sizes"
    if not decoded:
        behind += [
            node("Add", [centres, own + "grid"], own + "places"), node("Mul", [own + "places", own + "stride"], own + "cxcy"),
            node("Exp", [sizes], own + "exp"), node("Mul", [own + "exp", own + "stride"], own + "wh"),
        ]  # fmt: skip
        centres, sizes = own + "cxcy", own + "wh"
    behind += [
        node("Mul", [own + "objectness", own + "classes"], own + "scores"),
        node("Concat", [centres, sizes, own + "scores"], own + "rows", axis=2), node("Transpose", [own + "rows"], "output0", perm=[0, 2, 1]),
    ]  # fmt: skip
    nodes = [*front, *graph.node, *behind]
    del graph.node[:]
    graph.node.extend(nodes)
    classes = _dims(graph.output[0])[2] - 5
    del graph.input[:], graph.output[:]
    graph.input.append(helper.make_tensor_value_info(outer, TensorProto.FLOAT, [1, 3, *size]))
    graph.output.append(helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + classes, places]))


def grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of each place, and its stride, level by level: 1 x places x 2 and 1 x places x 1."""
    cells, strides = [], []
    for s in STRIDES:
        y, x = np.mgrid[: size[0] // s, : size[1] // s]
        cells.append(np.stack((x, y), axis=-1).reshape(-1, 2))
        strides.append(np.full((len(cells[-1]), 1), s))
    return np.concatenate(cells)[None].astype(np.float32), np.concatenate(strides)[None].astype(np.float32)


def metadata(names: list[str], size: tuple[int, int], path: Path) -> dict[str, str]:
    """As Ultralytics' exports have it."""
    listed = {i: n for i, n in enumerate(names)}
    return {"names": repr(listed), "imgsz": repr(list(size)), "task": "detect", "stride": "32", "description": f"{path.stem}, YOLOX"}


if __name__ == "__main__":
    main()
