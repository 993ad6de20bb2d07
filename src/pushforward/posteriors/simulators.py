"""`amortised`: the posterior of a simulator's parameters for all data, learned once from simulated pairs."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Distribution, Flow, Real, Space, initialise
from ..errors import DataError, DomainError, ShapeError
from ..systems.npe import NPE, StandardisedContext, bounds, conditional
from ..systems.spec import Spec
from ..training import FitResult, fit
from ..training.data import as_rows
from ..training.evaluate import evaluating
from ..training.random_state import isolated
from ..transforms import Standardise

CHUNK = 65_536
"""Number of draws that are generated together."""


@dataclass(frozen=True)
class Amortised:
    """Amortised posterior q(theta | x), valid for every x.

    Args:
        model: Flow of the parameters with the data as context, both in their own units.
        result: Record of its training; None for a model that was loaded.
    """

    model: Flow
    result: FitResult | None = None

    def sample(self, n: int, x_observed: Any) -> Tensor:
        """Return draws of the posterior, inside the space of the parameters.

        Args:
            n: Number of draws for each observation.
            x_observed: Observations (*batch, *data), an array or a tensor; often a single observation (*data).

        Returns:
            Draws (n, *batch, D).

        Raises:
            ContextError: The observation has another shape than the simulated data.
            DomainError: The observation is not finite.
        """
        x = self._observed(x_observed)
        size = max(1, CHUNK // max(1, x.numel() // self.model.context.size))  # type: ignore[union-attr]
        with evaluating(self.model):
            parts = [self.model.sample(min(size, n - start), x) for start in range(0, max(n, 1), size)]
        return torch.cat(parts)

    def log_prob(self, theta: Any, x_observed: Any) -> Tensor:
        """Return the log-density of parameters given an observation.

        Args:
            theta: Parameters (*batch, D), an array or a tensor.
            x_observed: Observations (*batch, *data), or a shape that broadcasts to it.

        Returns:
            (*batch,) in nats; -inf outside the space of the parameters.

        Raises:
            ShapeError: The number of parameters is wrong.
            ContextError: The observation has another shape than the simulated data.
            DomainError: There are NaNs or infinities.
        """
        theta = torch.as_tensor(theta).to(self.model.device, self.model.dtype)
        with evaluating(self.model):
            return self.model.log_prob(theta, self._observed(x_observed))

    def _observed(self, x: Any) -> Tensor:
        x = torch.as_tensor(x).to(self.model.device, self.model.dtype)
        if not bool(x.isfinite().all()):
            where = tuple((~x.isfinite()).nonzero()[0].tolist())
            raise DomainError(f"expected a finite observation, got {x[where].item()} at index {where}")
        return x


def amortised(
    flow: str | Spec | Distribution,
    theta: Any,
    x: Any,
    *,
    space: Space | None = None,
    embed: nn.Module | None = None,
    **training: Any,
) -> Amortised:
    """Train a conditional flow on simulated pairs: neural posterior estimation with one round.

        maximise sum_i log q(theta_i | x_i),    theta_i ~ p(theta),  x_i ~ p(x | theta_i)

    (Papamakarios and Murray 2016, arXiv:1605.06376, proposition 1, with the prior as proposal; called NPE since Greenberg,
    Nonnenmacher and Macke 2019, arXiv:1905.07488). The result is the posterior for the distribution from which theta was
    drawn, so draw theta from the prior. Both theta and x are standardised inside the model. Use `evaluation.sbc_ranks`
    and `evaluation.tarp` to check whether the result can be trusted.

    Args:
        flow: Name of a system of vectors that takes a context; or its spec, with the number of parameters as features and
            the length of x, or of the result of `embed`, as context; or your own model with these shapes.
        theta: Parameters (N, D), an array or a tensor.
        x: Simulated data (N, *data), one row for each row of theta: vectors, unless there is an `embed`.
        space: Space of the parameters: `Real((D,))` by default, or a `Box`, such as that of a uniform prior, outside of which
            the posterior has no mass.
        embed: Network (B, *data) -> (B, C) of the standardised data, trained together with the flow. A model with such a
            network, or with your own flow, has no spec: `save` cannot write it, but `torch.save` can.
        **training: Arguments of `fit`: fields of its config, `validation`, `callbacks`, `progress` ...; `seed` also sets the
            initial weights.

    Raises:
        DataError: The arrays theta or x contain other values than finite numbers (the message has the first such row),
            they have different numbers of rows, or theta lies outside its space (with the row) or does not vary.
        ShapeError: The rows of theta are not vectors of the space's length, the flow models other events, or the rows of
            x are not vectors and there is no `embed`.
        ContextError: The flow takes another context.
        SpecError: The flow is unknown, or the space is neither real nor a box.
    """
    model = prepared(flow, theta, x, space=space, embed=embed, seed=int(training.get("seed", 0)))
    return Amortised(model, fit(model, theta, context=x, **training))


def prepared(
    flow: str | Spec | Distribution,
    theta: Any,
    x: Any,
    *,
    space: Space | None = None,
    embed: nn.Module | None = None,
    seed: int | None = None,
) -> Flow:
    """Return the model that `amortised` trains: checked, built and standardised, but not trained.

    Args:
        flow: System of the flow; see `amortised` for this and all other arguments.
        theta: Parameters (N, D).
        x: Simulated data (N, *data).
        space: Space of the parameters.
        embed: Network of the data.
        seed: Seed of the weights; by default torch's own random state.
    """
    dtype, device = (flow.dtype, flow.device) if isinstance(flow, Distribution) else (torch.get_default_dtype(), None)
    theta, x = (as_rows(nn.Module(), given, None, name).x for given, name in ((theta, "theta"), (x, "x")))
    theta, x = theta.to(device, dtype), x.to(device, dtype)
    space = Real(tuple(theta.shape[1:])) if space is None else space
    _check(theta, x, space, vectors=embed is None)
    with nullcontext() if seed is None else isolated(theta.device, seed):
        model = _built(flow, space, x, embed).to(theta.device, dtype)
    embedding: StandardisedContext = model.embed  # type: ignore[assignment]
    _start(embedding.standardise, x)
    # The layers before `Standardise` change the parameters, so mean and deviation are measured on their output.
    z = theta
    for layer in model.chain.layers:  # type: ignore[union-attr]
        if isinstance(layer, Standardise):
            _start(layer, z)
            break
        z = layer(z)[0]
    initialise(model, theta, x)
    return model


@torch.no_grad()
def _start(layer: Standardise, values: Tensor) -> None:
    """Set mean and deviation from all rows; a number that never varies keeps the scale 1, so new values remain close to it."""
    fixed = values.amax(0) == values.amin(0)
    deviation, mean = torch.std_mean(values.double(), 0)
    layer.loc.copy_(mean)
    layer.scale.copy_(torch.where(fixed, 1.0, deviation))
    layer.started.fill_(True)  # noqa: FBT003


def _check(theta: Tensor, x: Tensor, space: Space, *, vectors: bool) -> None:
    if len(theta) != len(x):
        raise DataError(f"expected as many rows of theta as of x, got {len(theta)} and {len(x)}")
    if len(space.shape) != 1 or tuple(theta.shape[1:]) != space.shape:
        wanted = ", ".join(map(str, space.shape)) if len(space.shape) == 1 else "parameters"
        raise ShapeError(f"expected theta of shape (rows, {wanted}), got {tuple(theta.shape)}")
    if vectors and x.dim() != 2:
        raise ShapeError(f"expected x of shape (rows, numbers) or a network to embed it, got {tuple(x.shape)}")
    outside = ~space.contains(theta)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        values = ", ".join(f"{value:g}" for value in theta[row].tolist())
        raise DataError(f"expected theta inside {space}, got row {row} outside: ({values})")
    fixed = theta.amax(0) == theta.amin(0)
    if bool(fixed.any()):
        raise DataError(f"expected parameters that vary, got the same in column {int(fixed.nonzero()[0])} of every row")


def _built(flow: str | Spec | Distribution, space: Space, x: Tensor, embed: nn.Module | None) -> Flow:
    """Return the model of theta, in its space, given x."""
    low, high = bounds(space)
    data = Real(tuple(x.shape[1:]))
    if isinstance(flow, Distribution):
        return conditional(flow, space, data, embed)
    length = x.shape[1]
    if embed is not None:
        with evaluating(embed):
            length = embed.to(x)(x[:2]).shape[1]
    described = {"system": flow} if isinstance(flow, str) else flow.to_dict()
    spec = NPE(features=space.size, context=length, flow=described, low=low, high=high)
    return spec.build() if embed is None else conditional(spec.inner().build(), space, data, embed)
