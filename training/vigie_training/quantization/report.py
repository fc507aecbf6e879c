"""How far the values inside an int8 model are from the float model's, tensor by tensor, in decibels: where precision is lost.

20 dB is an error of a tenth of the signal, 40 dB one of a hundredth; each 6 dB are a bit. Errors add up on the way, so what counts is where
the figure falls.
"""

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto

from .plan import Plan
from .ranges import watch


def signal_to_noise(
    model: ModelProto, int8: ModelProto, plan: Plan, pictures: Sequence[np.ndarray], divisors: dict[str, np.ndarray]
) -> dict[str, float]:
    """Of what the plan quantizes and of the outputs, in the graph's order. `divisors` are those of `balance`."""
    made = {o for n in int8.graph.node for o in n.output}
    wanted = {t.removesuffix("/divided") for t in plan.tensors} | {o.name for o in model.graph.output}
    names = [o for n in model.graph.node for o in n.output if o in wanted and o in made and o not in plan.fixed]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    in_step = zip(watch(model, names, pictures, as_written=True), watch(int8, names, pictures, as_written=True))
    for (name, right), (_, rounded) in in_step:
        if (d := divisors.get(name)) is not None:
            rounded = rounded * (d.reshape(-1, 1, 1) if rounded.ndim == 4 else d)
        signal[name] += float(np.square(right).sum())
        noise[name] += float(np.square(right - rounded).sum())
    return {n: 10 * np.log10(max(signal[n], 1e-30) / max(noise[n], 1e-30)) for n in names}


def table(ratios: dict[str, float]) -> str:
    """One line a tensor."""
    return "\n".join(["signal to noise, dB", *(f"{value:>8.1f}  {name}" for name, value in ratios.items())])
