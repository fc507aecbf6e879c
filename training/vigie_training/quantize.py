"""Makes an int8 model of an exported f32 one, calibrated on training pictures.

    vigie-quantize models/vigie-xxs-320-fp32.onnx --data data.yaml --out models/vigie-xxs-320-int8.onnx
    vigie-quantize fp32.onnx --data data.yaml --out int8.onnx --compare --limit 300

The result is standard QDQ ONNX: s8 weights for each output channel, s8 activations with a zero point, s32 biases. `--compare` measures
every calibration method on validation pictures and keeps the best.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

from .data import DataSpec, Split, letterbox
from .data.pictures import decode
from .data.records import require_same_classes
from .errors import InputError, run_command
from .export import write_model
from .golden import add_golden
from .onnx_graph import class_names, get_metadata, set_metadata, warn_of_rounded_scores
from .quantization import METHODS, Histograms, Plan, balance, choose_ranges, collect, compensate, make_plan, signal_to_noise, table, write_qdq

ROUNDED_ON = 64
"""Pictures that weights are rounded on."""
REPORTED = 4
"""Pictures that `--report` looks at."""


def calibration_inputs(split: Split, model: onnx.ModelProto) -> list[np.ndarray]:
    """The split's pictures as the model takes them."""
    image = model.graph.input[0].type.tensor_type
    height, width = (d.dim_value for d in image.shape.dim[2:])
    if not height or not width:
        raise InputError("the model's input has no fixed size", "export it with vigie-export")
    as_floats = image.elem_type == onnx.TensorProto.FLOAT
    inputs = []
    for r in split.records:
        x = np.ascontiguousarray(letterbox(decode(r.picture, r.name), height, width)[0].transpose(2, 0, 1)[None])
        inputs.append(x.astype(np.float32) / 255 if as_floats else x)
    return inputs


def quantized(
    model: onnx.ModelProto,
    plan: Plan,
    found: Histograms,
    method: str,
    symmetric: bool,
    unsigned: bool = False,
    pictures: list[np.ndarray] | None = None,
) -> onnx.ModelProto:
    """The int8 model, with how it was made in its metadata; its weights rounded together where there are pictures to do it on."""
    result = write_qdq(model, plan, choose_ranges(plan, found, method), symmetric, unsigned)
    together = ", compensated rounding" if pictures and compensate(result, model, pictures) else ""
    zero = "symmetric" if symmetric else "asymmetric"
    activations = ", u8 activations" if unsigned else ""
    even = ", balanced channels" if plan.balanced else ""
    made = {"vigie.quantization": f"qdq s8 per-channel, {method}, {zero}, {plan.style}{activations}{even}{together}"}
    set_metadata(result, get_metadata(model) | made)
    add_golden(result)
    return result


def compare(model, plan, found, split: Split, folder: Path, symmetric: bool, threads: int, pictures: list[np.ndarray] | None) -> str:
    """Measure every method on the split. -> the one with the highest mAP50-95."""
    from .evaluate import evaluate
    from .predictor import load_predictor

    results = {}
    print(f"{split.name}: {len(split)} pictures\n{'calibration':<20}{'mAP50':>8}{'mAP50-95':>10}{'>= 30: 50':>11}{'50-95':>8}")
    for method in ["float", *METHODS]:
        path = folder / f"compare-{method}.onnx"
        write_model(model if method == "float" else quantized(model, plan, found, method, symmetric, pictures=pictures), path)
        try:
            scores, _ = evaluate(load_predictor(str(path), threads=threads), split)
        finally:
            path.unlink()
        results[method] = scores.map50_95
        print(f"{method:<20}{scores.map50:>8.4f}{scores.map50_95:>10.4f}{scores.map50_enough:>11.4f}{scores.map50_95_enough:>8.4f}", flush=True)
    del results["float"]
    return max(results, key=results.get)


def main() -> None:
    """The command `vigie-quantize`."""
    parser = argparse.ArgumentParser(prog="vigie-quantize", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="the f32 ONNX file, either layout")
    parser.add_argument("--data", required=True, help="data.yaml, or a folder with train.json and val.json")
    parser.add_argument("--out", required=True, help="the int8 ONNX file to write")
    parser.add_argument("--method", choices=list(METHODS), default="percentile-99.999", help="how ranges are chosen (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=256, help="training pictures to calibrate on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which pictures (default: %(default)s)")
    parser.add_argument("--symmetric", action="store_true", help="activations without a zero point")
    parser.add_argument(
        "--unsigned", action="store_true", help="u8 activations, which onnxruntime is faster with on x86; for Vigie it makes no difference"
    )
    parser.add_argument("--style", choices=["fused", "every-op"], default="fused", help="where values are rounded (default: %(default)s)")
    parser.add_argument("--own-concat-scales", action="store_true", help="let the inputs of a concatenation keep their own scales")
    parser.add_argument("--no-balance", action="store_true", help="leave the channels of a tensor as unequal as they are")
    parser.add_argument("--no-compensation", action="store_true", help="round each weight to its nearest step")
    parser.add_argument("--report", action="store_true", help="print signal-to-noise ratios of the int8 model's values, tensor by tensor")
    parser.add_argument("--compare", action="store_true", help="measure every method on the val split and keep the best")
    parser.add_argument("--limit", type=int, default=300, help="val pictures for --compare (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--clip-boxes", action="store_true", help="cut boxes that reach outside their picture instead of refusing them")
    args = parser.parse_args()
    run_command(lambda: quantize(args))


def quantize(args: argparse.Namespace) -> None:
    """Everything between the arguments and the file."""
    if not Path(args.model).is_file():
        raise InputError(f"no model at {args.model}", "make one with vigie-export")
    start = time.perf_counter()
    spec = DataSpec.load(args.data)
    model = onnx.load(args.model)
    if any(n.op_type == "QuantizeLinear" for n in model.graph.node):
        warn_of_rounded_scores(model, args.model)
        raise InputError(f"{args.model} is quantized already", "give the f32 model that it was made of")
    require_same_classes(class_names(get_metadata(model), args.model), spec.names)
    inputs = calibration_inputs(spec.read("train", args.clip_boxes).subset(args.pictures, args.seed), model)
    floats, divisors = model, {}
    if args.style == "fused" and not args.no_balance:
        model, divisors = balance(model, tqdm(inputs, "balancing", disable=None, leave=False), args.threads)
    plan = make_plan(model, args.style, not args.own_concat_scales)
    plan.balanced = bool(divisors)
    found = collect(model, plan.tensors, tqdm(inputs, "calibrating", disable=None, leave=False), args.threads)
    rounded_on = inputs[:ROUNDED_ON] if args.style == "fused" and not args.no_compensation else None
    method = args.method
    if args.compare:
        split = spec.read("val", args.clip_boxes).subset(args.limit)
        method = compare(model, plan, found, split, Path(args.out).parent, args.symmetric, args.threads, rounded_on)
    result = quantized(model, plan, found, method, args.symmetric, args.unsigned, rounded_on)
    if args.report:
        print(table(signal_to_noise(floats, result, plan, inputs[:REPORTED], divisors)))
    written = write_model(result, args.out)
    kinds = {k: sum(n.op_type == k for n in model.graph.node if n.name in set(plan.nodes)) for k in ("Conv", "MatMul", "Concat")}
    print(
        f"{args.out}: {written / 1e6:.2f} MB, {kinds['Conv']} convolutions and {kinds['MatMul']} linear layers in int8,"
        f" {method} ranges from {len(inputs)} pictures, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
