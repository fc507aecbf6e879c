"""Writes ONNX files from weights, in one or both layouts, and checks them against PyTorch before they are kept.

    vigie-export runs/a/best.pt --out models/vigie-xxs-320-fp32.onnx --size 320
    vigie-export runs/a/best.pt --out yolo.onnx --layout stock
    vigie-export runs/a/best.pt --weights models/vigie-xxs.safetensors
    vigie-export runs/b/last.pt runs/a/last.pt --out fp32.onnx        # b went on from a: the mean of their weights

`raw` (default) takes u8 pixels `images` 1x3xHxW and gives six logit maps, box8, cls8, box16, cls16, box32, cls32; Vigie decodes
them itself. `stock` takes f32 pixels 0..1 and gives `output0` 1x(4+nc)xN, as Ultralytics' exports do.
"""

import argparse
import copy
import io
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from . import __version__
from .checkpoint import Weights, load_weights, replacing, save_weights
from .errors import InputError, run_command
from .golden import add_golden
from .network import STRIDES, RawPixels, Stock, fold_batch_norms
from .onnx_graph import set_metadata, tidy

OPSET = 17
RAW_OUTPUTS = [f"{kind}{stride}" for stride in STRIDES for kind in ("box", "cls")]
# Largest differences that summing in another order explains; both were 10 to 100 times smaller when measured.
LOGIT_TOLERANCE, PIXEL_TOLERANCE, SCORE_TOLERANCE = 5e-3, 0.05, 1e-3


def parse_size(text: str) -> tuple[int, int]:
    """`320` or `HEIGHTxWIDTH`, multiples of 64."""
    try:
        parts = [int(p) for p in text.lower().split("x")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 2) or any(p < 64 or p % 64 for p in parts):
        raise InputError(f"size {text!r} is not one or two multiples of 64", "for instance 320, or 256x448 (height x width)")
    return (parts[0], parts[-1])


def metadata(weights: Weights, size: tuple[int, int], layout: str) -> dict[str, str]:
    """Ultralytics' keys, values as Python literals, and Vigie's own."""
    return {
        "description": f"MobileViT-{weights.config.name.upper()} YOLOv8 detector, step {weights.step}, epoch {weights.epoch:.1f}",
        "task": "detect",
        "stride": str(STRIDES[-1]),
        "batch": "1",
        "channels": "3",
        "imgsz": str(list(size)),
        "names": str(dict(enumerate(weights.names))),
        "vigie.layout": layout,
        "vigie.reg_max": str(weights.config.reg_max),
        "vigie.version": __version__,
    }


def build(weights: Weights, size: tuple[int, int], layout: str) -> onnx.ModelProto:
    """The ONNX model in the given layout, compared with PyTorch on a random picture."""
    height, width = size
    detector = weights.detector()
    pixels = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    if layout == "raw":
        wrap, example, outputs = RawPixels, pixels, RAW_OUTPUTS
    else:
        wrap, example, outputs = Stock, pixels.float() / 255, ["output0"]
    with torch.no_grad():
        wanted = wrap(copy.deepcopy(detector)).eval()(example)
        fold_batch_norms(detector)
        written = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                wrap(detector).eval(), (example,), written, opset_version=OPSET, input_names=["images"], output_names=outputs, dynamo=False
            )
    model = tidy(onnx.load_from_string(written.getvalue()))
    set_metadata(model, metadata(weights, size, layout))
    onnx.checker.check_model(model, full_check=True)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    compare(model, example.numpy(), [w.numpy() for w in wanted], layout)
    add_golden(model)
    return model


def compare(model: onnx.ModelProto, example: np.ndarray, wanted: list[np.ndarray], layout: str) -> float:
    """Run the model with onnxruntime; raise if it differs from what PyTorch gave. -> largest difference."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for output, got, want in zip(session.get_outputs(), session.run(None, {"images": example}), wanted):
        if got.shape != want.shape or got.dtype != np.float32:
            raise InputError(f"export: output {output.name} is {got.dtype} {got.shape}, PyTorch gives {want.dtype} {want.shape}")
        difference = np.abs(got - want)
        allowed = LOGIT_TOLERANCE if layout == "raw" else np.where(np.arange(want.shape[1]) < 4, PIXEL_TOLERANCE, SCORE_TOLERANCE)[None, :, None]
        if (difference > allowed).any():
            raise InputError(f"export: output {output.name} differs from PyTorch by up to {difference.max():.6f}")
        worst = max(worst, float(difference.max()))
    return worst


def write_model(model: onnx.ModelProto, path: str | Path) -> int:
    """-> bytes written."""
    with replacing(path) as temporary:
        temporary.write_bytes(data := model.SerializeToString())
    return len(data)


def main() -> None:
    """The command `vigie-export`."""
    parser = argparse.ArgumentParser(prog="vigie-export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="+", help="best.pt or last.pt of a run, or .safetensors; of several, the mean of their weights is taken")
    parser.add_argument("--out", help="the ONNX file to write")
    parser.add_argument("--layout", choices=["raw", "stock"], default="raw")
    parser.add_argument("--size", default="320", help="input size: one multiple of 64, or HEIGHTxWIDTH (default: %(default)s)")
    parser.add_argument("--classes", nargs="+", metavar="CLASS", help="only these of its classes (default: all)")
    parser.add_argument("--weights", help="also write the averaged weights as .safetensors, so that training can go on from them")
    args = parser.parse_args()
    run_command(lambda: export(args))


def export(args: argparse.Namespace) -> None:
    """Everything between the arguments and the files."""
    if not args.out and not args.weights:
        raise InputError("nothing to write", "give --out FILE.onnx, --weights FILE.safetensors, or both")
    size = parse_size(args.size)
    loaded = [load_weights(c) for c in args.checkpoint]
    first, *others = [w.of_classes(args.classes) for w in loaded] if args.classes else loaded
    weights = first.mean_with(others) if others else first
    if others:
        print(f"the mean of {len(loaded)} runs' weights")
    if args.out:
        written = write_model(build(weights, size, args.layout), args.out)
        print(f"{args.out}: layout {args.layout}, {size[0]}x{size[1]}, {len(weights.names)} classes, {written / 1e6:.2f} MB, equal to PyTorch")
    if args.weights:
        save_weights(weights, args.weights)
        print(f"{args.weights}: {len(weights.state)} tensors, step {weights.step}")


if __name__ == "__main__":
    main()
