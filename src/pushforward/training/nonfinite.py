"""Losses and gradients that are not finite: they are found before they are applied, and their origin is named."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Node
from .batches import Batch
from .model_weights import plain_name
from .random_state import generators, set_random_state


def steps_between_checks(device: torch.device) -> int:
    """Return the number of steps after which the flags of non-finite numbers are read: 1 where reading them costs nothing."""
    return 1 if device.type == "cpu" else 50


@dataclasses.dataclass(frozen=True, slots=True)
class SeenStep:
    """All that is needed to run a step again.

    Args:
        number: Number of steps done before it.
        batch: Its rows.
        random: Random state before it, see `random_state`.
    """

    number: int
    batch: Batch
    random: dict[str, Tensor]


class Watch:
    """Check of the loss and the gradient of every step, at once or, where that would stop the device, every few steps.

    Between two checks the flag `bad` stays on the device; an optimizer that skips steps by it leaves out the bad step and all
    steps after it.

    Args:
        device: Device of the loss.
        every: Number of steps between two checks.
    """

    def __init__(self, device: torch.device, every: int) -> None:
        self.every, self.generators = every, generators(device)
        self.steps: list[SeenStep] = []
        self.fine: list[Tensor] = []
        self.bad = torch.zeros((), dtype=torch.bool, device=device)

    def before(self, number: int, batch: Batch) -> None:
        """Remember a step that is about to be taken."""
        random = {name: generator.get_state() for name, generator in self.generators.items()}
        self.steps.append(SeenStep(number, batch, random))

    def after(self, loss: Tensor, norm: Tensor) -> bool:
        """Check its loss and gradient; return False when it must not be applied and training ends here."""
        if self.every == 1:
            if math.isfinite(loss.item()) and math.isfinite(norm.item()):
                self.steps.clear()
                return True
            return False
        fine = loss.isfinite() & norm.isfinite()
        self.fine.append(fine)
        self.bad = self.bad | ~fine
        return True

    @property
    def skip(self) -> Tensor | None:
        """Flag on the device that tells the optimizer to leave out the update; None where `after` has the answer at once."""
        return None if self.every == 1 else self.bad

    def first_bad(self, *, at_once: bool) -> SeenStep | None:
        """Return the first step that was not finite; None when there is none, or when it is not yet time for a check.

        Args:
            at_once: Whether to check now, whenever the last check was.
        """
        if self.every == 1:
            return self.steps[0] if self.steps else None
        if not at_once and len(self.steps) < self.every:
            return None
        fine = torch.stack(self.fine).tolist() if self.fine else []
        if all(fine):
            self.steps.clear()
            self.fine.clear()
            return None
        return self.steps[fine.index(False)]


def explain(step: SeenStep, epoch: int, whole: nn.Module, objective: nn.Module, device: torch.device) -> str:
    """Run a bad step once more, from the same random state, and say what became non-finite, where and for which rows.

    Args:
        step: The first bad step; the weights are those before it.
        epoch: Number of its epoch.
        whole: The bundle of the model and the objective.
        objective: The loss.
        device: Device of the random state.
    """
    set_random_state(step.random, device)
    finding = diagnose(whole, objective, step.batch.inputs)
    return (
        f"the {finding.what} became non-finite at epoch {epoch}, step {step.batch.number} "
        f"(rows {step.batch.place(finding.rows)} of the training data); {finding.origin}"
    )


@dataclasses.dataclass
class Finding:
    """The origin of a non-finite loss or gradient.

    Args:
        what: "loss" or "gradient".
        origin: A clause that names the layer or parameter.
        rows: Positions in the batch of the rows concerned; None when they cannot be told apart.
    """

    what: str
    origin: str
    rows: Tensor | None


def diagnose(whole: nn.Module, objective: nn.Module, inputs: tuple[Any, ...]) -> Finding:
    """Run a batch forward and back, as training did, and name the first layer with a non-finite output.

    A layer counts when its output is not finite although what it was given is. When every output is finite, the
    parameter that lies nearest to the loss among those with a non-finite gradient is named. Running averages move.

    Args:
        whole: The bundle of the model and the objective; names are given as seen from the model.
        objective: The loss.
        inputs: Arguments of the objective, as in training: the batch and, with weighted rows, their weights.
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
        loss = objective(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not bool(loss.isfinite()):
        if not bad:
            return Finding("loss", "every layer's output was finite, the objective made of them was not", None)
        module, output = bad[0]
        return Finding(
            "loss", f"the first non-finite output came from {_describe(module, names)}", _rows(output, inputs[0])
        )
    loss.backward()
    wrong = [n for n, p in whole.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    whole.zero_grad(set_to_none=True)
    if wrong:
        return Finding("gradient", f"the loss was finite, the gradient of {plain_name(wrong[-1])} was not", None)
    return Finding("loss", "it did not happen again when the batch was run once more", None)


def _describe(module: nn.Module, names: dict[nn.Module, str]) -> str:
    """Return 'chain.layers.2 (Coupling)', and the part of the layer in front where it is not a layer itself."""
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
    """Return the rows of the batch whose output is not finite, when the output has one row for each."""
    if output.dim() == 0 or output.shape[0] != batch[0].shape[0]:
        return None
    bad = ~output.isfinite()
    bad = bad.flatten(1).any(1) if bad.dim() > 1 else bad
    return torch.nonzero(bad).flatten()
