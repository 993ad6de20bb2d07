"""Residual layers: z = x + g(x) with a contraction g, inverted by fixed-point iteration.

The inverse is the fixed point of F(x) = z - g(x). By Banach's theorem, with the Lipschitz constant L < 1 of g,

    |F(x_n) - x| <= L / (1 - L) |F(x_n) - x_n|     for any x_n,

so the error of the result is bounded, and the iteration may be accelerated (Behrmann et al. 2019, arXiv:1811.00995). The
log-determinant is

    log det(I + J) = sum_(k >= 1) (-1)^(k+1) / k tr(J^k),

computed from the whole Jacobian in few dimensions. Otherwise the sum has either a fixed number of terms (biased), or a random
number: terms after the first n_0 are weighted by 1 / P(N >= k - n_0), which makes the sum unbiased (Russian roulette, Chen et
al. 2019, arXiv:1906.02735, eq. 6). N is geometric: the sum continues with probability 1/2 in training, as in the paper, and
with (1 + L^2) / 2 in evaluation, where the variance must be finite. Traces are estimated by v^T J^k v with random signs v
(Hutchinson). The gradient needs only one product with a Jacobian that is recorded (their eq. 8):

    d log det(I + J) = E [ (sum_(k >= 0) (-1)^k (J^T)^k v) dJ v ].
"""

from __future__ import annotations

import math
from typing import Any, Literal, Self, get_args

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
"""Number of terms after the first ones in compiled code, where it cannot be random.

Terms beyond number n sum to less than D L^n / (n (1 - L)).
"""


class Residual(Transform):
    """Residual layer: z = x + g(x, c), dlogp = log det(I + dg/dx).

    Args:
        net: Contraction g, which also computes products with its Jacobian.
        space: Space of x and z.
        lipschitz: Upper bound L of the Lipschitz constant of g, in (0, 1).
        logdet: Log-determinant: "exact" (one Jacobian product per dimension), "series" (biased) or "roulette" (unbiased).
        terms: Number of terms in training: all terms of "series", or the first terms of "roulette", which are always there.
        scoring_terms: Number of terms in evaluation.
        economical: Whether the gradient of an estimated log-determinant uses one product with the Jacobian. Its memory
            does not grow with the number of terms, and it is unbiased for "roulette". Otherwise autograd records all terms.
        tolerance: Bound on the error of the inverse, relative to 1 + |z|; the level of rounding by default.
        iterations: Largest number of iterations of the inverse.
        context: Length of the context c, 0 for none; or its space.

    Raises:
        SpecError: L is not in (0, 1) or below the constant of the network, there are no terms, or `logdet` is unknown.
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
        """Exactness: exact, unbiased but noisy, or biased in an unknown direction."""
        if self.logdet == "exact":
            return Exactness.EXACT
        return Exactness.NOISY if self.logdet == "roulette" else Exactness.NOISY | Exactness.LOWER | Exactness.UPPER

    def exact_twin(self) -> Self | None:
        """Return the same contraction with the exact log-determinant; None if the layer is exact."""
        if self.logdet == "exact":
            return None
        return type(self)(
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
        """Return the fixed point of x <- z - g(x, c), and minus the log-determinant at it.

        Raises:
            InversionError: The bound on the error is too large after all iterations.
        """
        x, push, pull = self._solved(z, context)
        return x, -self._log_det(x, push, pull)

    def _solved(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Linear, Linear]:
        """Return the fixed point, and the products with the Jacobian of g there."""
        weights = self.net.weights()
        if ordinary((z,)) and eager(z, context, *weights):
            # The weights before spectral normalisation are left out: they get their gradient through the scaled weights.
            others = [p for name, p in self.net.named_parameters() if not name.endswith("inner.weight")]
            x = _Solution.apply(self, len(weights), z, context, *weights, *others)
        else:
            x = self._recorded(z, context, weights)
        return x, *self.net.linearised(x, context, weights)[1:]

    def _recorded(self, z: Tensor, context: Tensor | None, weights: list[Tensor]) -> Tensor:
        """Return the fixed point, computed in steps that autograd and function transforms can differentiate."""
        if self.logdet != "exact" and not eager(z, context, *weights):
            # The dimension may be too large for a Jacobian: record all steps. Their number is fixed in advance.
            return self._fixed_point(z, context, weights)
        with torch.no_grad():
            x = self._fixed_point(z, context, weights)
        # Each Newton step doubles the order of correct derivatives, since the error is squared. A constant has none:
        # after one step the first derivatives are right, after two also the second and third.
        for _ in range(2 if torch.is_grad_enabled() else 0):
            value, push, _ = self.net.linearised(x, context, weights)
            missing = (z - x - value).flatten(1)
            x = x + torch.linalg.solve(self._jacobian(x, push), missing[..., None])[..., 0].reshape(x.shape)
        return x

    def _jacobian(self, x: Tensor, push: Linear) -> Tensor:
        """Return I + J, (B, D, D), from one Jacobian-vector product per column."""
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
        """Return the number of iterations n that is enough for every row.

        After n steps the error is at most L^n / (1 - L) |x_1 - x_0|, which must be below the tolerance relative to 1 + |z|.
        """
        return min(
            self.iterations, math.ceil(math.log(self._relative(z) * (1 - self.lipschitz)) / math.log(self.lipschitz))
        )

    def _relative(self, z: Tensor) -> float:
        # Rounding of the sum and of g; a smaller bound would never be reached.
        return 16 * torch.finfo(z.dtype).eps / (1 - self.lipschitz) if self.tolerance is None else self.tolerance

    def _enough(self, z: Tensor) -> Tensor:
        """Return the allowed error of each row, (B,)."""
        return self._relative(z) * (1 + z.detach().flatten(1).norm(dim=1))

    def _log_det(self, x: Tensor, push: Linear, pull: Linear) -> Tensor:
        if self.logdet == "exact":
            return self._whole_log_det(x, push)
        first = self.terms if self.training else self.scoring_terms
        weights = self._weights(first, x)
        v = signs(x.shape, x)
        if not (torch.is_grad_enabled() and self.economical and eager(x)):
            return _series(v, push, weights)
        with torch.no_grad():
            value = _series(v, push, weights)
            # `left` becomes sum_k k w_k (J^T)^(k-1) v, without gradients. Its product with J v, where only J v is recorded,
            # has the gradient sum_k k w_k v^T J^(k-1) dJ v: the derivative of sum_k w_k tr(J^k) in expectation over v.
            left, w = torch.zeros_like(v), v
            for k, weight in enumerate(self._weights(first, x), 1):
                # d tr(J^k) = k tr(J^(k-1) dJ): the factor k cancels the 1 / k of the series.
                left = left + k * weight * w
                w = pull(w)
        return _OfGradient.apply(value, (left * push(v)).flatten(1).sum(1))

    def _whole_log_det(self, x: Tensor, push: Linear) -> Tensor:
        """Return log det(I + J) from the whole Jacobian."""
        return torch.linalg.slogdet(self._jacobian(x, push))[1]

    def _coefficient(self, k: int) -> float:
        """Return the coefficient of tr(J^k) in the log-determinant."""
        return (-1) ** (k + 1) / k

    def _weights(self, first: int, x: Tensor) -> list[Any]:
        """Return the coefficient of each term, divided after the first terms by the probability of computing the term."""
        plain = [self._coefficient(k) for k in range(1, first + 1)]
        if self.logdet == "series":
            return plain
        # N = count is geometric on 1, 2, ... with P(N >= j) = stay^(j-1), the divisor below. The variance is finite for
        # stay > L^2. With the published value 1/2 and singular values above 0.71 = sqrt(1/2), most of the mean comes from
        # terms that are hardly ever drawn. That is acceptable for gradients but not for reported scores.
        stay = 0.5 if self.training else (1 + self.lipschitz**2) / 2
        if eager(x):
            count = int(torch.empty(()).geometric_(1 - stay))
            return [*plain, *(self._coefficient(first + j) / stay ** (j - 1) for j in range(1, count + 1))]
        # In compiled code all MOST terms are computed; a mask drops those after `count`.
        count = torch.empty((), device=x.device).geometric_(1 - stay)  # type: ignore[assignment]
        further = [self._coefficient(first + j) / stay ** (j - 1) * (count >= j) for j in range(1, MOST + 1)]
        return [*plain, *further]


class _OfGradient(torch.autograd.Function):
    """Function with the value of its first argument and the gradient of its second."""

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
    """Return sum_k w_k v^T J^k v, (B,), from repeated Jacobian-vector products."""
    w, total = v, v.new_zeros(v.shape[0])
    for weight in weights:
        w = push(w)
        total = total + weight * (v * w).flatten(1).sum(1)
    return total


class _Solution(torch.autograd.Function):
    """Fixed point whose gradient follows from the implicit function rule; no step of the iteration is kept.

    From x + g(x, c) = z: (I + J) dx = dz - dg, where dg is the change of g with its parameters and c. A cotangent a of x gives
    the cotangent u of z with (I + J)^T u = a, and autograd carries -u through g to the parameters and c.
    """

    @staticmethod
    def forward(ctx: Any, layer: Residual, count: int, z: Tensor, context: Tensor | None, *tensors: Tensor) -> Tensor:
        weights = list(tensors[:count])
        # One more application of F brings the error down by another factor L.
        x = z - layer.net(layer._fixed_point(z, context, weights), context, weights)
        ctx.layer, ctx.count = layer, count
        ctx.save_for_backward(x, z, context, *tensors)
        return x

    @staticmethod
    def backward(ctx: Any, a: Tensor) -> tuple[Tensor | None, ...]:
        x, z, context, *tensors = ctx.saved_tensors
        inputs, weights = (z, context, *tensors), tensors[: ctx.count]
        if torch.is_grad_enabled():
            # Second derivatives are asked for: solve again in steps that autograd records.
            return None, None, *second_gradient((ctx.layer._recorded(z, context, weights),), inputs, (a,))
        with torch.enable_grad():
            value, _, pull = ctx.layer.net.linearised(x.detach(), context, weights)
        u = _neumann(a, pull, ctx.layer)
        below = [t for t in inputs[1:] if t is not None and t.requires_grad]
        found = iter(torch.autograd.grad(value, below, -u, materialize_grads=True) if below else ())
        return None, None, u, *(next(found) if t is not None and t.requires_grad else None for t in inputs[1:])


def _neumann(a: Tensor, pull: Linear, layer: Residual) -> Tensor:
    """Return u with u + J^T u = a, up to rounding, by the contraction u <- a - J^T u.

    Raises:
        InversionError: The bound on the error is too large after all iterations.
    """
    enough = 16 * torch.finfo(a.dtype).eps / (1 - layer.lipschitz) * a.flatten(1).norm(dim=1)
    factor = layer.lipschitz / (1 - layer.lipschitz)
    u, bound = contracted(lambda u: a - pull(u), a, factor, enough, layer.iterations)
    if bool((bound > enough).any()):
        raise InversionError(
            f"expected the gradient of the inverse to converge within {layer.iterations} iterations, got an error of up to "
            f"{float((bound / enough).max()):.1g} times the allowed one; allow more iterations"
        )
    return u
