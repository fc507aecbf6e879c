"""Trains a detector on labelled pictures.

    vigie-train --data data.yaml --out runs/a
    vigie-train --data data.yaml --out runs/b --weights models/vigie-xxs.safetensors --lr 5e-4 --epochs 30
    vigie-train --data data.yaml --out runs/a --minutes 80        # by the clock instead of epochs

The same command goes on from `OUT/last.pt`, whenever it was killed. `OUT/best.pt` is what to evaluate, export and quantize.
"""

import argparse
import importlib.util
from dataclasses import fields, replace
from pathlib import Path

import cv2
import torch
import yaml

from .checkpoint import load_weights
from .data import DataSpec
from .data.augment import Augmenter, Recipe
from .data.pictures import PictureCache
from .data.words import position
from .errors import InputError, run_command
from .evaluate import find_all
from .fitting import Settings, Trainer, parse_stages
from .fitting.host import keep_memory, take_share
from .fitting.log import RunLog
from .metrics import Scores, score
from .network import Detector, NetworkConfig, preset_names
from .plots import write_batch, write_curves
from .predictor import torch_runner
from .sheet import write_sheet

# Larger than any input: crops are cut from the picture before it is scaled.
CACHE_SIDE = 416


def new_model(args: argparse.Namespace, names: list[str]) -> Detector:
    """A network with random weights, or with those of `--weights` where they fit (classes are matched by name, unknown ones stay random)."""
    if not args.weights:
        return Detector(len(names), NetworkConfig.load(args.network or "xxs"))
    weights = load_weights(args.weights)
    config = NetworkConfig.load(args.network) if args.network else weights.config
    model = Detector(len(names), config)
    own = model.state_dict()
    state = weights.state if weights.names == names else _rows_of_classes(weights.state, own, weights.names, names)
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise InputError(f"{args.weights}: no tensor fits network {config.name!r}")
    model.load_state_dict(own | fitting)
    print(f"{len(fitting)} of {len(own)} tensors from {args.weights}{what_is_new(own, fitting)}")
    return model


def what_is_new(own: dict, fitting: dict) -> str:
    """What of the network the weights don't have: whole parts of it are named, since a backbone alone finds nothing yet."""
    parts = dict.fromkeys(key.split(".")[0] for key in own)
    new = [p for p in parts if not any(key.startswith(p + ".") for key in fitting)]
    if not new:
        return ""
    old = " and ".join(p for p in parts if p not in new)
    return f": the {old} alone; {' and '.join(new)} begin{'s' if len(new) == 1 else ''} with random weights"


def _rows_of_classes(state: dict, own: dict, old: list[str], new: list[str]) -> dict:
    """`state` with the last class layers' rows moved to where the new list has their classes."""
    rows = [(i, at) for i, name in enumerate(new) if (at := position(name, old)) is not None]
    moved = dict(state)
    for key in (k for k in own if k.startswith("head.cls.") and k.split(".")[3] == "2"):
        if key in state and state[key].shape[1:] == own[key].shape[1:]:
            moved[key] = own[key].clone()
            for to, of in rows:
                moved[key][to] = state[key][of]
    return moved


def parser() -> argparse.ArgumentParser:
    """An option for every setting."""
    p = argparse.ArgumentParser(prog="vigie-train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    defaults = Settings()
    p.add_argument("--data", required=True, help="data.yaml, or a folder with train.json and val.json")
    p.add_argument("--out", required=True, help="folder of the run")
    p.add_argument("--network", help=f"{', '.join(preset_names())}, or a YAML file (default: that of --weights, else xxs)")
    p.add_argument("--weights", help="start from these (.pt or .safetensors) instead of random ones")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cpu or cuda (default: %(default)s)")
    p.add_argument("--threads", type=int, default=0, help="CPU threads for the arithmetic (default: PyTorch's choice)")
    p.add_argument("--workers", type=int, default=0, help="threads that make batches (default: 1 on a CPU, 8 for a GPU)")
    share = p.add_mutually_exclusive_group()
    share.add_argument("--greedy", dest="share", action="store_const", const="greedy", help="before all else on this machine, where that is allowed")
    share.add_argument("--yield", dest="share", action="store_const", const="yield", help="behind all else on this machine")
    p.set_defaults(share="fair")
    p.add_argument("--cache-gib", type=float, default=8, help="memory for decoded pictures (default: %(default)s)")
    p.add_argument("--evaluations", type=int, default=10, help="evaluations during the run (default: %(default)s)")
    p.add_argument("--eval-pictures", type=int, default=300, help="val pictures for each, 0: all (default: %(default)s)")
    p.add_argument("--tensorboard", action="store_true", help="also log for TensorBoard")
    p.add_argument("--allow-empty-classes", action="store_true", help="train although a class never occurs")
    p.add_argument("--clip-boxes", action="store_true", help="cut boxes that reach outside their picture instead of refusing them")
    for owner, instance in ((Settings, defaults), (Recipe, defaults.recipe)):
        group = p.add_argument_group("schedule and optimizer" if owner is Settings else "augmentation")
        for f in fields(owner):
            value = getattr(instance, f.name)
            if isinstance(value, Recipe):
                continue
            flag = "--" + f.name.replace("_", "-")
            if isinstance(value, bool):
                group.add_argument(flag, action="store_true", help="default: off")
            elif isinstance(value, tuple):
                group.add_argument(flag, type=float, nargs=2, metavar=("LOW", "HIGH"), default=list(value), help="default: %(default)s")
            else:
                group.add_argument(flag, type=type(value), default=value, help="default: %(default)s")
    return p


def settings_of(args: argparse.Namespace) -> Settings:
    """The run's settings, checked."""
    values = vars(args)
    recipe = {f.name: tuple(v) if isinstance(v := values[f.name], list) else v for f in fields(Recipe)}
    settings = Settings.from_dict(values | {"recipe": Recipe(**recipe)})
    if settings.precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {settings.precision!r} is not auto, fp32 or bf16")
    if settings.batch < 2:
        raise InputError(f"batch {settings.batch} is too small for batch norm", "2 or more; 16 is usual")
    if not 0 <= settings.unsure[0] <= settings.unsure[1] <= 1:
        raise InputError(f"--unsure {settings.unsure[0]:g} {settings.unsure[1]:g} is not a band of scores", "two numbers from 0 to 1: 0.2 0.35")
    parse_stages(settings.stages)
    return settings


def main() -> None:
    """The command `vigie-train`."""
    args = parser().parse_args()
    run_command(lambda: train(args))


def train(args: argparse.Namespace) -> None:
    """Everything between the arguments and the run's folder."""
    settings, folder = settings_of(args), Path(args.out)
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("--device cuda: PyTorch sees no GPU", "nvidia-smi shows whether there is one; else --device cpu")
    if args.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise InputError("--tensorboard: TensorBoard is not installed", "pip install 'vigie-training[tensorboard]'")
    if args.threads:
        torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)  # the batch workers are the threads
    keep_memory()
    if said := take_share(args.share):
        print(said)
    torch.manual_seed(settings.seed)
    workers = args.workers or (8 if args.device.startswith("cuda") else 1)

    spec = DataSpec.load(args.data)
    split, val = spec.read("train", args.clip_boxes), spec.read("val", args.clip_boxes).subset(args.eval_pictures)
    if drawn := sum(int((r.scores < 1).sum()) for r in split.records):
        split = split.judged(*settings.unsure)
        kept = [(r.scores < 1, r.ignore) for r in split.records]
        learnt, unsure = (sum(int((machine & (ignore == which)).sum()) for machine, ignore in kept) for which in (False, True))
        print(f"{drawn} boxes by machines: {learnt} are learnt, {unsure} neither object nor background, {drawn - learnt - unsure} nothing")
    split, left_out = split.instructive()
    if left_out:
        print(f"{left_out} pictures left out: nothing to learn from them (no object of these classes, and none of them labelled)")
    if not args.allow_empty_classes:
        split.require_every_class()
    if len(split) < settings.batch:
        settings = replace(settings, batch=max(2, len(split)))
    pictures = PictureCache(split.records, CACHE_SIDE, int(args.cache_gib * 2**30), max(2, workers))
    objects = split.object_counts().sum()
    print(f"train: {len(split)} pictures, {objects} objects, {pictures.bytes >> 20} MiB cached; val: {len(val)}; {len(spec.names)} classes")

    trainer = Trainer(new_model(args, spec.names), spec.names, Augmenter(split, pictures, settings.recipe), settings, folder, args.device, workers)
    if trainer.resume():
        print(f"going on from step {trainer.step}, {100 * trainer.progress:.0f} % done")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(_plain(settings.to_dict()), sort_keys=False))
    write_batch(folder / "batch.jpg", trainer.batch_of(trainer.step), spec.names)

    def evaluate(model: Detector, size: int) -> Scores:
        found = find_all(torch_runner(model, args.device), val, (size, size))
        write_sheet(str(folder / "predictions.jpg"), val, found, 20, 0.3)
        return score(val, found)

    log = RunLog(folder, args.tensorboard)
    finished = trainer.run(evaluate, max(1, args.evaluations), log)
    log.close()
    write_curves(folder)
    if finished:
        print(f"done: {folder}/best.pt, mAP50-95 {trainer.best:.4f} on {len(val)} val pictures")
    else:
        print(f"stopped at step {trainer.step}; the same command goes on")


def _plain(value):
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value


if __name__ == "__main__":
    main()
