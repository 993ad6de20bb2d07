"""Residual layers: z = x + g(x) with a contraction g, inverted by iteration.

The inverse is the fixed point of F(x) = z - g(x); by Banach's theorem, with the Lipschitz constant L < 1 of g,

    |F(x_n) - x| <= L / (1 - L) |F(x_n) - x_n|     for any x_n,

so the error of the answer is known, and the iteration may be accelerated (Behrmann et al. 2019, arXiv:1811.00995). The
contribution is

    log det(I + J) = sum_(k >= 1) (-1)^(k+1) / k tr(J^k),

from the whole Jacobian where there are few dimensions, else from its first terms (biased), or from a random number of terms,
those after the first n_0 weighted by 1 / P(N >= k - n_0) (Chen et al. 2019, arXiv:1906.02735, eq. 6: unbiased). N is geometric:
it goes on with probability 1/2 in training, as published, and (1 + L^2) / 2 in evaluation, so that the variance is finite.
Traces are estimated by v J^k v with random signs v. The gradient needs one product with the Jacobian only (their eq. 8):

    d log det(I + J) = E [ (sum_(k >= 0) (-1)^k (J^T)^k v) dJ v ].
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ..core import Exactness, Real, Space, Transform, context_space
from ..errors import InversionError, SpecError
from ..functional.fixed_point import contracted
from ..functional.hand_gradients import eager, ordinary, second_gradient
from ..functional.probes import signs
from ..networks.lipschitz import Contraction, Linear

LogDet = Literal["exact", "series", "roulette"]
MOST = 64
"""Further terms in compiled code, where their number cannot be random; what is left out is below D L^n / (n (1 - L))."""


class Residual(Transform):
    """z = x + g(x, c), dlogp = log det(I + dg/dx).

    Args:
        net: g, with its derivatives.
        space: Space of x and of z.
        lipschitz: L, which g promises.
        logdet: "exact" (a product with the Jacobian for each dimension), "series" (biased) or "roulette" (unbiased).
        terms: Number of terms in training: all of "series", or the first ones of "roulette".
        scoring_terms: the same in evaluation.
        economical: whether the gradient of an estimated log-determinant is that of one product with the Jacobian, unbiased
            for "roulette", in memory that does not grow with the terms; else it goes through all terms.
        tolerance: bound of the inverse's error, relative to 1 + |z|; by default about that of rounding.
        iterations: Largest number of iterations of the inverse.
        context: length or space of c; 0 for none.

    Raises:
        SpecError: L is not in (0, 1) or below the constant of the network, no terms, an unknown way to the log-determinant.
    """

    def __init__(
        self,
        net: Contraction,
        space: Real,
        *,
        lipschitz: float,
        logdet: LogDet = "exact",
        terms: int = 4,
        scoring_terms: int = 20,
        economical: bool = True,
        tolerance: float | None = None,
        iterations: int = 1000,
        context: int | Space = 0,
    ) -> None:
        super().__init__()
        if not 0 < lipschitz < 1:
            raise SpecError(f"expected a Lipschitz constant in (0, 1), got {lipschitz}: x + g(x) may not be invertible")
        if net.coefficient > lipschitz * (1 + 1e-9):
            raise SpecError(
                f"expected a network of Lipschitz constant at most lipschitz={lipschitz}, got one of {net.coefficient:.6g}: "
                "the bound of the inverse's error would be wrong"
            )
        if min(terms, scoring_terms) < 1:
            raise SpecError(f"expected at least one term of the series, got {min(terms, scoring_terms)}")
        if logdet not in get_args(LogDet):
            raise SpecError(f"expected logdet to be one of {', '.join(get_args(LogDet))}, got {logdet!r}")
        self.x_space: Real = space
        self.net, self.z_space, self.context = net, space, context_space(context)
        self.lipschitz, self.logdet, self.terms, self.scoring_terms = lipschitz, logdet, terms, scoring_terms
        self.economical, self.tolerance, self.iterations = economical, tolerance, iterations

    @property
    def own(self) -> Exactness:  # type: ignore[override]
        """Exact, unbiased, or biased to an unknown side."""
        if self.logdet == "exact":
            return Exactness.EXACT
        return Exactness.NOISY if self.logdet == "roulette" else Exactness.NOISY | Exactness.LOWER | Exactness.UPPER

    def exact_twin(self) -> Residual | None:
        """The same contraction with the whole Jacobian."""
        if self.logdet == "exact":
            return None
        return Residual(
            self.net,
            self.x_space,
            lipschitz=self.lipschitz,
            tolerance=self.tolerance,
            iterations=self.iterations,
            context=self.context or 0,
        )

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x + g(x, c) and log det(I + J)."""
        value, push, pull = self.net.linearised(x, context)
        return x + value, self._log_det(x, push, pull)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The fixed point of x <- z - g(x, c), and minus the log-determinant there.

        Raises:
            InversionError: the error's bound is not small enough after all iterations.
        """
        weights = self.net.weights()
        if ordinary((z,)) and eager(z, context, *weights):
            # Gradients to the weights before scaling come through the scaled ones.
            others = [p for name, p in self.net.named_parameters() if not name.endswith("inner.weight")]
            x = _Solution.apply(self, len(weights), z, context, *weights, *others)
        else:
            x = self._recorded(z, context, weights)
        _, push, pull = self.net.linearised(x, context, weights)
        return x, -self._log_det(x, push, pull)

    def _recorded(self, z: Tensor, context: Tensor | None, weights: list[Tensor]) -> Tensor:
        """The fixed point in steps that autograd and function transforms can follow."""
        if self.logdet != "exact" and not eager(z, context, *weights):
            # Too many dimensions for a Jacobian, perhaps: all steps recorded, whose number is known beforehand.
            return self._fixed_point(z, context, weights)
        with torch.no_grad():
            x = self._fixed_point(z, context, weights)
        # From a constant one step of Newton has the right first derivatives, and two the right second and third ones.
        for _ in range(2 if torch.is_grad_enabled() else 0):
            value, push, _ = self.net.linearised(x, context, weights)
            missing = (z - x - value).flatten(1)
            x = x + torch.linalg.solve(self._jacobian(x, push), missing[..., None])[..., 0].reshape(x.shape)
        return x

    def _jacobian(self, x: Tensor, push: Linear) -> Tensor:
        """I + J: (B, D, D)."""
        size = self.x_space.size
        basis = torch.eye(size, dtype=x.dtype, device=x.device)
        columns = push(basis.reshape(size, 1, *x.shape[1:]).expand(size, *x.shape)).flatten(2)
        return basis + columns.permute(1, 2, 0)

    def _fixed_point(self, z: Tensor, context: Tensor | None, weights: list[Tensor]) -> Tensor:
        if not eager(z):
            x = z
            for _ in range(self._steps(z)):
                x = z - self.net(x, context, weights)
            return x
        enough, factor = self._enough(z), self.lipschitz / (1 - self.lipschitz)
        x, bound = contracted(lambda x: z - self.net(x, context, weights), z, factor, enough, self.iterations)
        if bool((bound > enough).any()):
            row = int((bound / enough).argmax())
            raise InversionError(
                f"expected the inverse to be within {float(enough[row]):.1g} of the truth after {self.iterations} iterations, "
                f"got {float(bound[row]):.1g} for row {row} of the batch; allow more, or a larger tolerance"
            )
        return x

    def _steps(self, z: Tensor) -> int:
        """Iterations that are enough for any row: L^n / (1 - L) times the first step is an error that is allowed."""
        return min(
            self.iterations, math.ceil(math.log(self._relative(z) * (1 - self.lipschitz)) / math.log(self.lipschitz))
        )

    def _relative(self, z: Tensor) -> float:
        # Rounding of the sum and of g itself; a bound below it would never be reached.
        return 16 * torch.finfo(z.dtype).eps / (1 - self.lipschitz) if self.tolerance is None else self.tolerance

    def _enough(self, z: Tensor) -> Tensor:
        """The error that is allowed, for each row."""
        return self._relative(z) * (1 + z.detach().flatten(1).norm(dim=1))

    def _log_det(self, x: Tensor, push: Linear, pull: Linear) -> Tensor:
        if self.logdet == "exact":
            return torch.linalg.slogdet(self._jacobian(x, push))[1]
        first = self.terms if self.training else self.scoring_terms
        weights = self._weights(first, x)
        v = signs(x.shape, x)
        if not (torch.is_grad_enabled() and self.economical and eager(x)):
            return _series(v, push, weights)
        with torch.no_grad():
            value = _series(v, push, weights)
            left, w = torch.zeros_like(v), v
            for k, weight in enumerate(self._weights(first, x), 1):
                # The derivative of tr(J^k) / k has no 1 / k, and one power less.
                left = left + k * abs(weight) * w
                w = -pull(w)
        return _OfGradient.apply(value, (left * push(v)).flatten(1).sum(1))

    def _weights(self, first: int, x: Tensor) -> list[Any]:
        """(-1)^(k+1) / k of the terms, those after the first divided by the probability that they are there."""
        plain = [(-1) ** (k + 1) / k for k in range(1, first + 1)]
        if self.logdet == "series":
            return plain
        # The variance is finite for stay > L^2. With the published 1/2, terms that are hardly ever drawn carry the mean once
        # singular values pass 0.71: fast enough for gradients, not for scores.
        stay = 0.5 if self.training else (1 + self.lipschitz**2) / 2
        if eager(x):
            count = int(torch.empty(()).geometric_(1 - stay))
            return [*plain, *((-1) ** (first + j + 1) / (first + j) / stay ** (j - 1) for j in range(1, count + 1))]
        count = torch.empty((), device=x.device).geometric_(1 - stay)  # type: ignore[assignment]
        further = [(-1) ** (first + j + 1) / (first + j) / stay ** (j - 1) * (count >= j) for j in range(1, MOST + 1)]
        return [*plain, *further]


class _OfGradient(torch.autograd.Function):
    """The first argument's value with the second one's gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, linear: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, a: Tensor) -> tuple[Tensor | None, Tensor]:
        if torch.is_grad_enabled():
            raise SpecError(
                "expected a gradient taken once, got create_graph=True: an economical log-determinant has no second "
                "derivatives; use Residual(..., economical=False) or logdet='exact'"
            )
        return None, a


def _series(v: Tensor, push: Linear, weights: list[Any]) -> Tensor:
    """Sum_k w_k v J^k v: (B,)."""
    w, total = v, v.new_zeros(v.shape[0])
    for weight in weights:
        w = push(w)
        total = total + weight * (v * w).flatten(1).sum(1)
    return total


class _Solution(torch.autograd.Function):
    """The fixed point, with its gradient by the implicit function rule: no step of the iteration is kept."""

    @staticmethod
    def forward(ctx: Any, layer: Residual, count: int, z: Tensor, context: Tensor | None, *tensors: Tensor) -> Tensor:
        weights = list(tensors[:count])
        x = z - layer.net(layer._fixed_point(z, context, weights), context, weights)
        ctx.layer, ctx.count = layer, count
        ctx.save_for_backward(x, z, context, *tensors)
        return x

    @staticmethod
    def backward(ctx: Any, a: Tensor) -> tuple[Tensor | None, ...]:
        x, z, context, *tensors = ctx.saved_tensors
        inputs, weights = (z, context, *tensors), tensors[: ctx.count]
        if torch.is_grad_enabled():
            # A second derivative is wanted: record the steps after all.
            return None, None, *second_gradient((ctx.layer._recorded(z, context, weights),), inputs, (a,))
        with torch.enable_grad():
            value, _, pull = ctx.layer.net.linearised(x.detach(), context, weights)
        u = _neumann(a, pull, ctx.layer)
        below = [t for t in inputs[1:] if t is not None and t.requires_grad]
        found = iter(torch.autograd.grad(value, below, -u, materialize_grads=True) if below else ())
        return None, None, u, *(next(found) if t is not None and t.requires_grad else None for t in inputs[1:])


def _neumann(a: Tensor, pull: Linear, layer: Residual) -> Tensor:
    """Return u with u + J^T u = a, to rounding.

    Raises:
        InversionError: the error's bound is not small enough after all iterations.
    """
    enough = 16 * torch.finfo(a.dtype).eps / (1 - layer.lipschitz) * a.flatten(1).norm(dim=1)
    factor = layer.lipschitz / (1 - layer.lipschitz)
    u, bound = contracted(lambda u: a - pull(u), a, factor, enough, layer.iterations)
    if bool((bound > enough).any()):
        raise InversionError(
            f"expected the gradient of the inverse to settle within {layer.iterations} iterations, got an error of up to "
            f"{float((bound / enough).max()):.1g} times what is allowed; allow more"
        )
    return u
