"""One step of training: the loss, its gradient, and the update of the weights, without waiting for the device."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SpecError, TrainingError
from ..networks import lower_precision
from .batches import Batch, StepInputs
from .compiling import Loss, compiled, no_recompilation
from .config import TrainConfig
from .learning_rate import rates_of, set_rates
from .mixed_precision import LossScale, autocast_dtype
from .model_weights import tensors
from .moving_average import MovingAverage
from .optimizer import OptimizerFactory, make_optimizer, parameters_of
from .parallel.batch_norm import SharedMoments
from .parallel.strategies import Replicated


class Stepper:
    """Training steps of a run: the loss, compiled or not, the optimizer, the moving average and, in float16, the loss scale.

    A step is `gradient`, then `update` if its numbers are finite; both are called within `running`.

    Args:
        strategy: Placement of the weights of the model and the objective.
        config: Options of the run, resolved.
        device: Device that the model is on.
        factory: Function that makes the optimizer from the parameters; AdamW by default.

    Raises:
        SpecError: The model cannot be trained in the requested precision, or the factory returns an unsuitable optimizer.
    """

    def __init__(
        self,
        strategy: Replicated,
        config: TrainConfig,
        device: torch.device,
        factory: OptimizerFactory | None = None,
    ) -> None:
        self.strategy, self.whole, self.config, self.device = strategy, strategy.whole, config, device
        self.objective, self.parameters, self.ranks = strategy.objective, strategy.parameters, strategy.ranks
        self.modules = list(self.whole.modules())
        self.precision = autocast_dtype(config, self.whole)
        self.scale = LossScale(device) if self.precision == torch.float16 else None
        self.optimizer, self.fused = make_optimizer(self.parameters, config, factory)
        self.named = None if factory is None else type(self.optimizer).__name__
        if strategy.sharded and [*map(id, parameters_of(self.optimizer))] != [*map(id, self.parameters)]:
            raise SpecError(
                "expected an optimizer of all parameters in their order for parallel='fsdp', got other ones"
            )
        self.average = MovingAverage(self.whole, config.ema) if config.ema else None
        self.base_rates = rates_of(self.optimizer)
        self.rate, self._factor = self.base_rates[0], 1.0
        self.compiled: Loss | None = None
        self.compiled_rows = 0
        self.several = self.ranks.several
        self._moments = SharedMoments(self.whole, self.ranks)
        self._unshared_buffers = _unshared_buffers(self.whole) if self.several else []
        self._wrapped: Callable[..., Tensor] | None = None

    def state(self) -> dict[str, Any]:
        """Return the values that a checkpoint keeps, with their names there."""
        return {
            "optimiser": self.strategy.full_state(self.optimizer.state_dict()),
            "average": None if self.average is None else self.strategy.full(self.average.average),
            "scale": None if self.scale is None else self.scale.state(),
            **({} if self.named is None else {"optimizer_class": self.named}),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Set the values returned by `state`."""
        self.optimizer.load_state_dict(self.strategy.part_of_state(state["optimiser"]))
        # The stored rates belong to an earlier step; NaN differs from every factor, so the next step sets its own rates.
        self.rate, self._factor = rates_of(self.optimizer)[0], math.nan
        if self.average is not None:
            self.average.load(self.strategy.part(state["average"]))
        if self.scale is not None:
            self.scale.load(state["scale"])

    def compile(self, batch: Batch) -> bool:
        """Compile the objective for batches of this shape; return whether that succeeded."""
        inputs, _ = batch.share(self.ranks)
        self.whole.train()
        with lower_precision(self.whole, self.precision):
            self.compiled = compiled(self.objective, self.whole, *inputs)
        self.compiled_rows = inputs[0][0].shape[0]
        return self.compiled is not None

    def wrap(self, batch: Batch) -> None:
        """Prepare the loss for several processes.

        Args:
            batch: A whole batch, with which the loss is computed once.
        """
        with self.running():
            inputs, _ = batch.share(self.ranks)
            self._wrapped = self.strategy.wrap(_LossModule(self.objective, self._own_loss), inputs)

    def spread_buffers(self) -> None:
        """Copy to all processes the first one's running averages of layers that do not measure the whole batch."""
        self.ranks.spread(tensors(self.whole)[name] for name in self._unshared_buffers)
        if self.average is not None:
            average = self.average.average
            self.ranks.spread(average[name] for name in self._unshared_buffers if name in average)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Set training mode and the chosen precision of the networks within the block."""
        # Checking the modes costs less than setting them in every module, which matters when epochs are short.
        if not all(module.training for module in self.modules):
            self.whole.train()
        with lower_precision(self.whole, self.precision):
            if self.compiled is None:
                yield
            else:
                with no_recompilation():
                    yield

    def gradient(self, batch: StepInputs, clip: float | None = None) -> tuple[Tensor, Tensor]:
        """Compute the loss and its clipped gradient; several processes do so together, with the same results.

        Args:
            batch: A whole batch.
            clip: Largest norm of the gradient; by default the one in the options.

        Returns:
            The loss and the norm of its gradient before clipping, both detached; the norm is 0 if the gradient
            overflowed in float16.

        Raises:
            TrainingError: The loss is not a scalar, or does not depend on the parameters.
        """
        for parameter in self.parameters:
            parameter.grad = None
        differentiated, loss = self._shared_loss(batch) if self.several else self._loss(batch)
        if self.scale is None:
            differentiated.backward()
        else:
            self.scale.scaled(differentiated).backward()
        if self.several:
            self.strategy.collect()
        if self.scale is None:
            return loss, self._clip(clip)
        self.scale.unscale([p.grad for p in self.parameters if p.grad is not None])
        return loss, self.scale.judge(loss, self._clip(clip))

    def update(self, step: int, factor: float, bad: Tensor | None = None) -> None:
        """Apply the gradient.

        Args:
            step: Number of this step, from 1.
            factor: Factor on the optimizer's initial learning rates.
            bad: Flag on the device: 1 to skip the step; for the fused optimizer only.
        """
        if factor != self._factor:
            set_rates(self.optimizer, [rate * factor for rate in self.base_rates])
            self.rate, self._factor = self.base_rates[0] * factor, factor
        skip = bad
        if self.scale is not None:
            skip = self.scale.overflow if bad is None else bad | self.scale.overflow
        if self.fused and skip is not None:
            # The fused optimizer skips the update on the device if this flag is 1.
            self.optimizer.found_inf = skip.float()  # type: ignore[attr-defined]
        if self.fused or skip is None or not bool(skip):
            self.optimizer.step()
        if self.average is not None:
            self.average.update(step)

    def _loss(self, batch: StepInputs) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, with and without gradient."""
        loss = self._own_loss(*batch.inputs)
        _require_loss(loss)
        return loss, loss.detach()

    def _shared_loss(self, batch: StepInputs) -> tuple[Tensor, Tensor]:
        """Return this process's part of the loss of a batch, with gradient, and the value of the whole loss."""
        self.strategy.clear()
        inputs, share = batch.share(self.ranks)
        with self._moments.shared(len(batch), inputs[0][0].shape[0], counts=share > 0):
            loss = (self._wrapped or self._own_loss)(*inputs)
        _require_loss(loss)
        # Process r has the share s_r of the rows and their mean loss l_r, so the loss of the batch is sum_r s_r l_r.
        # Gradients are averaged over the R processes, 1/R sum_r g_r: each process has to give g_r = R s_r grad l_r.
        return loss * (share * self.ranks.size), self.ranks.total(loss.detach() * share)

    def _own_loss(self, *inputs: Any) -> Tensor:
        # Without compilation if the last batch of an epoch has another size: padding it would be exact for some
        # objectives only.
        if self.compiled is not None and inputs[0][0].shape[0] == self.compiled_rows:
            return self.compiled(*inputs)
        return self.objective(*inputs)

    def _clip(self, largest: float | None) -> Tensor:
        norm = nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if self.several:
            norm = self.strategy.norm_of_all(norm)
        norm = norm.detach()
        largest = self.config.clip if largest is None else largest
        if largest:
            nn.utils.clip_grads_with_norm_(self.parameters, largest, norm)
        return norm


class _LossModule(nn.Module):
    """Module with all the parameters, which several processes need, around a loss that may be a compiled function."""

    def __init__(self, objective: nn.Module, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.objective, self.call = objective, call

    def forward(self, *inputs: Any) -> Tensor:
        """Return the mean loss of this process's rows."""
        return self.call(*inputs)


def _unshared_buffers(whole: nn.Module) -> list[str]:
    """Return the names of the buffers of torch's own batch normalisations, which measure the rows of one process only."""
    return [
        f"{name}.{buffer}"
        for name, module in whole.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        for buffer, _ in module.named_buffers(recurse=False)
    ]


def _require_loss(loss: object) -> None:
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TrainingError(f"expected the objective to return a scalar loss, got {got}; take the mean over the batch")
    if not loss.requires_grad:
        raise TrainingError("expected a loss that depends on the parameters, got one without a gradient")
