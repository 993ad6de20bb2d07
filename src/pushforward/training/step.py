"""One step of training: a loss, its gradient, and the change of the weights. Nothing in it waits for the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..networks import lower_precision
from .compiling import compiled, no_recompilation
from .config import TrainConfig
from .mixed_precision import LossScale, autocast_dtype
from .optimiser import make_optimiser, set_rate
from .parallel.strategies import Replicated
from .weights import MovingAverage, tensors


class Stepper:
    """Takes the steps of a run: owns the optimiser, the moving average and, in float16, the loss scale.

    A step is `gradient`, then, when its numbers are fine, `update`; both within `running`.

    Args:
        weights: of the model and the objective, and the loss that is made with them.
        config: resolved.
        device: of the model.

    Raises:
        SpecError: the model cannot be trained in the precision asked for.
    """

    def __init__(self, weights: Replicated, config: TrainConfig, device: torch.device) -> None:
        self.weights, self.whole, self.config, self.device = weights, weights.whole, config, device
        self.parameters = weights.parameters
        self.modules = list(self.whole.modules())
        self.precision = autocast_dtype(config, self.whole)
        self.scale = LossScale(device) if self.precision == torch.float16 else None
        self.optimiser, self.fused = make_optimiser(self.parameters, config)
        self.average = MovingAverage(self.whole, config.ema) if config.ema else None
        self.rate = config.lr

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, by its names there."""
        return {
            "optimiser": self.weights.full_state(self.optimiser.state_dict()),
            "average": None if self.average is None else self.weights.full(self.average.average),
            "scale": None if self.scale is None else self.scale.state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        self.optimiser.load_state_dict(self.weights.part_of_state(state["optimiser"]))
        self.rate = self.optimiser.param_groups[0]["lr"]
        if self.average is not None:
            self.average.load(self.weights.part(state["average"]))
        if self.scale is not None:
            self.scale.load(state["scale"])

    def compile(self, batch: tuple[Tensor, ...]) -> bool:
        """Compile the objective for batches of this one's shape, if that is possible."""
        rows, _ = self.weights.ranks.share(batch)
        self.whole.train()
        with lower_precision(self.whole, self.precision):
            self.weights.compiled = compiled(self.weights.objective, self.whole, rows)
        self.weights.compiled_rows = rows[0].shape[0]
        return self.weights.compiled is not None

    def spread_buffers(self) -> None:
        """Give all processes the running averages of the first one, of layers that do not share the whole batch."""
        names = self.weights.strays
        self.weights.ranks.spread(tensors(self.whole)[name] for name in names)
        if self.average is not None:
            self.weights.ranks.spread(self.average.average[name] for name in names if name in self.average.average)

    def wrap(self, batch: tuple[Tensor, ...]) -> None:
        """Get ready for several processes, with a batch to try."""
        with self.running():
            self.weights.wrap(batch)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """The state of the model while steps are taken: training mode, the networks in the chosen precision."""
        # Going through every module again costs more than a look when epochs are short.
        if not all(module.training for module in self.modules):
            self.whole.train()
        with lower_precision(self.whole, self.precision):
            if self.weights.compiled is None:
                yield
            else:
                with no_recompilation():
                    yield

    def gradient(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Compute the loss and, clipped, its gradient; several processes do so together, with the same results.

        Args:
            batch: a whole one.

        Returns:
            The loss and the norm of its gradient before clipping, without gradients; 0 where float16 made it overflow.

        Raises:
            TrainingError: the loss is no scalar, or does not depend on the parameters.
        """
        self.weights.clear()
        loss, share = self.weights.loss(batch)
        _require_loss(loss)
        ranks = self.weights.ranks
        # Gradients are averaged over the processes; with these weights that gives the one of the mean over the whole batch.
        weighted = loss * (share * ranks.size) if ranks.several else loss
        loss = ranks.total(loss.detach() * share) if ranks.several else loss.detach()
        if self.scale is None:
            weighted.backward()
            self.weights.collect()
            return loss, self._clip()
        self.scale.scaled(weighted).backward()
        self.weights.collect()
        self.scale.unscale([p.grad for p in self.parameters if p.grad is not None])
        return loss, self.scale.judge(loss, self._clip())

    def update(self, step: int, rate: float, bad: Tensor | None = None) -> None:
        """Apply the gradient.

        Args:
            step: number of this step, from 1.
            rate: learning rate.
            bad: whether to leave it out, on the device; for the fused optimiser only.
        """
        if rate != self.rate:
            set_rate(self.optimiser, rate)
            self.rate = rate
        skip = bad
        if self.scale is not None:
            skip = self.scale.overflow if bad is None else bad | self.scale.overflow
        if self.fused and skip is not None:
            # The fused optimiser leaves out the update on the device when this is 1.
            self.optimiser.found_inf = skip.float()  # type: ignore[attr-defined]
        if self.fused or skip is None or not bool(skip):
            self.optimiser.step()
        if self.average is not None:
            self.average.update(step)

    def _clip(self) -> Tensor:
        norm = self.weights.norm().detach()
        if self.config.clip:
            nn.utils.clip_grads_with_norm_(self.parameters, self.config.clip, norm)
        return norm


def _require_loss(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TrainingError(f"expected the objective to return a scalar loss, got {got}; take the mean over the batch")
    if not loss.requires_grad:
        raise TrainingError("expected a loss that depends on the parameters, got one without a gradient")
