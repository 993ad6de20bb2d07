"""Where a number that is not finite came from: the offending batch once more, with an eye on every layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Node
from .weights import plain_name


@dataclasses.dataclass
class Finding:
    """The origin of a non-finite loss or gradient.

    Args:
        what: "loss" or "gradient".
        origin: a clause naming the layer or parameter.
        rows: positions in the batch of the rows concerned; None when they cannot be told apart.
    """

    what: str
    origin: str
    rows: Tensor | None


def diagnose(whole: nn.Module, objective: nn.Module, batch: tuple[Tensor, ...]) -> Finding:
    """Run a batch forward and back, as training did, and name the first layer with a non-finite output.

    A layer counts when its output is not finite although what it was given is. When every output is finite, the
    parameter that lies nearest to the loss among those with a non-finite gradient is named. Running averages move.

    Args:
        whole: the bundle of the model and the objective; names are given as seen from the model.
        objective: called with the batch.
        batch: as in training.
    """
    names = {module: plain_name(name) for name, module in whole.named_modules() if module is not whole}
    bad: list[tuple[nn.Module, Tensor]] = []

    def look(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        if bad or not all(bool(t.isfinite().all()) for t in _floats(given)):
            return
        for tensor in _floats(output):
            if not bool(tensor.isfinite().all()):
                bad.append((module, tensor.detach()))
                return

    handles = [module.register_forward_hook(look) for module in names if module is not objective]
    try:
        whole.zero_grad(set_to_none=True)
        loss = objective(batch)
    finally:
        for handle in handles:
            handle.remove()
    if not bool(loss.isfinite()):
        if not bad:
            return Finding("loss", "every layer's output was finite, the objective made of them was not", None)
        module, output = bad[0]
        return Finding(
            "loss", f"the first non-finite output came from {_describe(module, names)}", _rows(output, batch)
        )
    loss.backward()
    wrong = [n for n, p in whole.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    whole.zero_grad(set_to_none=True)
    if wrong:
        return Finding("gradient", f"the loss was finite, the gradient of {plain_name(wrong[-1])} was not", None)
    return Finding("loss", "it did not happen again when the batch was run once more", None)


def _describe(module: nn.Module, names: dict[nn.Module, str]) -> str:
    """'chain.layers.2 (Coupling)', and the part of the layer in front where it is not a layer itself."""
    name = names[module]
    if not name:
        return f"the model ({type(module).__name__}), when its layers and its base are put together"
    here = f"{name} ({type(module).__name__})"
    if isinstance(module, Node):
        return here
    above = [(n, m) for m, n in names.items() if isinstance(m, Node) and n and name.startswith(f"{n}.")]
    if not above:
        return here
    outer, layer = max(above, key=lambda pair: len(pair[0]))
    return f"{outer} ({type(layer).__name__}), in its part {name[len(outer) + 1 :]} ({type(module).__name__})"


def _floats(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _floats(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _floats(part)


def _rows(output: Tensor, batch: tuple[Tensor, ...]) -> Tensor | None:
    """Rows of the batch whose output is not finite, when the output has one row for each."""
    if output.dim() == 0 or output.shape[0] != batch[0].shape[0]:
        return None
    bad = ~output.isfinite()
    bad = bad.flatten(1).any(1) if bad.dim() > 1 else bad
    return torch.nonzero(bad).flatten()
