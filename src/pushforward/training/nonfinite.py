"""Detection of losses and gradients that are not finite, before a step is applied, with a message that names their origin."""

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
    """Return the number of steps between two reads of the non-finite flags: 1 on the CPU, where reading takes no time."""
    return 1 if device.type == "cpu" else 50


@dataclasses.dataclass(frozen=True, slots=True)
class SeenStep:
    """Everything needed to run a step again.

    Args:
        number: Number of steps done before this one.
        batch: Rows of the step.
        random: Random state before the step (see `random_state`).
    """

    number: int
    batch: Batch
    random: dict[str, Tensor]


class Watch:
    """Check of the loss and the gradient of every step, at once on the CPU, every few steps on a GPU.

    Reading a value from a GPU waits until all work on it is done. So between two checks the flag `bad` stays on the device; a
    fused optimizer reads it there and skips the first bad step and all steps after it.

    Args:
        device: Device that the loss is on.
        every: Number of steps between two checks.
    """

    def __init__(self, device: torch.device, every: int) -> None:
        self.every, self.generators = every, generators(device)
        self.steps: list[SeenStep] = []
        self.fine: list[Tensor] = []
        self.bad = torch.zeros((), dtype=torch.bool, device=device)

    def before(self, number: int, batch: Batch) -> None:
        """Remember a step before it is taken."""
        random = {name: generator.get_state() for name, generator in self.generators.items()}
        self.steps.append(SeenStep(number, batch, random))

    def after(self, loss: Tensor, norm: Tensor) -> bool:
        """Check the step's loss and gradient; return False if the step must not be applied and training ends here."""
        if self.every == 1:
            if math.isfinite(loss.item()) and math.isfinite(norm.item()):
                self.steps.clear()
                return True
            return False
        fine = loss.isfinite() & norm.isfinite()
        self.fine.append(fine)
        # Once set, the flag stays set: the weights remain those before the first bad step until the next check.
        self.bad = self.bad | ~fine
        return True

    @property
    def skip(self) -> Tensor | None:
        """Flag on the device with which the optimizer skips the update; None if `after` checks at once."""
        return None if self.every == 1 else self.bad

    def first_bad(self, *, at_once: bool) -> SeenStep | None:
        """Return the first step that was not finite; None if there is none, or if it is not yet time for a check.

        Args:
            at_once: Whether to check now, no matter when the last check was.
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
    """Run a bad step again from the same random state, and return a text with what became non-finite, where and for which rows.

    Args:
        step: The first bad step; the weights are those before it.
        epoch: Number of the step's epoch.
        whole: The bundle of the model and the objective.
        objective: The loss.
        device: Device that has the random state.
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
        rows: Positions of the affected rows in the batch; None if they cannot be determined.
    """

    what: str
    origin: str
    rows: Tensor | None


def diagnose(whole: nn.Module, objective: nn.Module, inputs: tuple[Any, ...]) -> Finding:
    """Run a batch forward and backward as in training, and return the first layer with a non-finite output.

    A layer is the origin if its output is not finite while its input is. If every output is finite, the last parameter, in the
    order of the module, with a non-finite gradient is named; it is usually the one nearest to the loss. The running averages of
    batch normalisation change.

    Args:
        whole: The bundle of the model and the objective; layers are named as in the model.
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
    """Return 'chain.layers.2 (Coupling)'; for a part of a layer, the name of the layer comes before it."""
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
    """Return the rows of the batch whose output is not finite; None if the output does not have one row for each event."""
    if output.dim() == 0 or output.shape[0] != batch[0].shape[0]:
        return None
    bad = ~output.isfinite()
    bad = bad.flatten(1).any(1) if bad.dim() > 1 else bad
    return torch.nonzero(bad).flatten()
