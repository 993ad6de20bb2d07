"""The cases that take whole flows: density, training step, drawing, drawing with log-probabilities."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from ...peers import OWN
from ...peers.library import Model, trainable
from ..floor import Floor
from ..timing import Call, one_line
from ..work import Work

FLOOR = "floor"
COMPILED = ":compiled"
"""After a library's name: the same, compiled."""
DENSITY = ":density"
"""After a library's name: its density, timed beside its draws."""


@dataclass(frozen=True)
class Bench:
    """Everything that is measured at one work.

    Args:
        work: which.
        models: by library.
        floor: the networks alone.
        device: where.
        compiled: whose compiled forms are measured too.
    """

    work: Work
    models: Mapping[str, Model]
    floor: Floor
    device: torch.device
    compiled: tuple[str, ...] = ()

    def batch(self) -> Tensor:
        """Standard normal events."""
        return torch.randn(self.work.size.batch, *self.work.size.shape, device=self.device)


class Likelihood(nn.Module):
    """Loss of a batch: minus the mean log-density."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> scalar."""
        return -self.model(x).mean()


class ReverseKL(nn.Module):
    """Loss of draws: mean of log q(x) + |x|^2 / 2, the reverse Kullback-Leibler divergence to a standard normal."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """As many draws as x has rows -> scalar."""
        drawn, log_prob = self.model.sample_and_log_prob(x.shape[0])
        return (log_prob + 0.5 * drawn.flatten(1).square().sum(1)).mean()


@dataclass
class Contenders:
    """What takes part in a case.

    Args:
        calls: name -> one call.
        failed: name -> why it does not take part.
        compiling: name -> seconds that its compilation took.
    """

    calls: dict[str, Call]
    failed: dict[str, str]
    compiling: dict[str, float]

    def add_compiled(self, name: str, make: Callable[[], Call]) -> None:
        """A compiled contender: made and called once here, so that its compilation is no part of what is timed."""
        began = time.perf_counter()
        try:
            call = make()
            call()
        except Exception as error:  # a peer may not compile in any way; that is an answer
            self.failed[name] = f"does not compile: {one_line(error)}"
            return
        self.compiling[name] = time.perf_counter() - began
        self.calls[name] = call


def training(bench: Bench) -> Contenders:
    """Zero the gradients, forward, backward, one step of the fused Adam."""
    x = bench.batch()
    make_loss = ReverseKL if bench.work.system.inverted else Likelihood
    found = Contenders({}, {}, {})
    for name, model in bench.models.items():
        model.train()
        found.calls[name] = _step(make_loss(model), x)
    found.calls[FLOOR] = _floor_step(bench)
    torch.compiler.reset()
    for name in bench.compiled:
        loss = _compile(make_loss(bench.models[name]), name)
        found.add_compiled(name + COMPILED, partial(_step, loss, x))
    return found


def density(bench: Bench) -> Contenders:
    """`log_prob` of a batch, without gradients."""
    x = bench.batch()
    found = Contenders({}, {}, {})
    for name, model in bench.models.items():
        model.eval()
        found.calls[name] = _without_gradients(model.log_prob, x)
    inputs = bench.floor.inputs(len(x), bench.device)
    found.calls[FLOOR] = _without_gradients(bench.floor, inputs)
    torch.compiler.reset()
    for name in bench.compiled:
        run = _compile(bench.models[name], name)
        found.add_compiled(name + COMPILED, partial(_without_gradients, run, x))
    return found


def sampling(bench: Bench) -> Contenders:
    """A batch of draws; and each library's density beside it, for how many densities a draw costs."""
    return _drawing(bench, "sample")


def sampling_density(bench: Bench) -> Contenders:
    """A batch of draws with their log-probabilities."""
    return _drawing(bench, "sample_and_log_prob")


def _drawing(bench: Bench, method: Literal["sample", "sample_and_log_prob"]) -> Contenders:
    x = bench.batch()
    found = Contenders({}, {}, {})
    for name, model in bench.models.items():
        model.eval()
        found.calls[name] = _without_gradients(getattr(model, method), len(x))
        if not bench.work.system.one_pass_draws:
            found.calls[name + DENSITY] = _without_gradients(model.log_prob, x)
    inputs = bench.floor.inputs(len(x), bench.device)
    found.calls[FLOOR] = _without_gradients(bench.floor, inputs)
    return found


FLOWS: dict[str, Callable[[Bench], Contenders]] = {
    "density": density,
    "training": training,
    "sampling": sampling,
    "sampling-density": sampling_density,
}


def _compile(module: nn.Module, name: str) -> Callable[[Tensor], Tensor]:
    return torch.compile(module, fullgraph=name == OWN, dynamic=False)


def _without_gradients(function: Callable[..., object], *arguments: object) -> Call:
    @torch.no_grad()
    def call() -> object:
        return function(*arguments)

    return call


def _step(loss: Callable[[Tensor], Tensor], x: Tensor) -> Call:
    parameters = trainable(loss)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(parameters, lr=1e-6, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss(x).backward()
        optimiser.step()

    return step


def _floor_step(bench: Bench) -> Call:
    floor = bench.floor
    inputs = floor.inputs(bench.work.size.batch, bench.device)
    gradients = floor.gradients(bench.work.size.batch, bench.device)
    optimiser = torch.optim.Adam(trainable(floor), lr=1e-6, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        floor.backward(inputs, gradients)
        optimiser.step()

    return step
