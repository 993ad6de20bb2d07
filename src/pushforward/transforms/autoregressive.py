"""Autoregressive layers: each coordinate is mapped with parameters made from the coordinates before it.

    z_i = f(x_i; net_i(x_<i, context)),    dlogp = sum_i log f'(x_i)

The Jacobian is triangular (Papamakarios et al. 2017, arXiv:1705.07057, section 3). Forward is one pass. The inverse solves
for one coordinate after the other; with a `MaskedMLP` that costs about one pass too, because each hidden unit is computed once,
as soon as the last coordinate that it sees is known. With any other network it is a Jacobi iteration: sweeps of one pass
each, stopped when they no longer change anything, and exact after D of them.

The coordinates may be tokens, vectors of the same length: then every number of a token is mapped with parameters made from
the tokens before it (Zhai et al. 2024, arXiv:2412.06329, eq. 3). With a causal transformer the inverse is sequential too, each
token computed once from the kept keys and values; or in blocks, each by a Jacobi iteration of its own.

Or labels as one-hot vectors (Tran et al. 2019, arXiv:1905.10347, section 4.1): every label has one set of parameters.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn

from ..core import Space, Transform, Undo, context_space
from ..errors import SpecError
from ..functional.bounds import sum_events
from ..functional.fixed_point import jacobi
from ..functional.hand_gradients import ordinary, second_gradient
from ..networks import CausalNetwork, MaskedMLP, Network, as_conditioner
from .scalar import Scalar


class Autoregressive(Transform):
    """z_i = scalar(x_i; net_i(x_<i)).

    Args:
        scalar: the map.
        space: Space of x and z, of shape (D,), or (T, d) for T tokens, or `OneHot` labels (D, K).
        net: from (B, D) and the context to (B, D, scalar.n), where output i depends on no x_j from i on, in some order:
            a `MaskedMLP`, or any network with that property. For tokens, from (B, T, d) to (B, T, scalar.n d), the first
            parameter of all numbers of a token and then the second: a `CausalNetwork`, or any with that property. For
            labels, from (B, D, K) to (B, D, scalar.n): one of these, or a `MaskedMLP` of that width. A module of one argument
            is called without a context when there is none. With one, the context is concatenated along the last
            dimension: the module gets (B, D + C), or (B, T, d + C) for tokens.
        context: length of the context, 0 for none, or its space.
        tolerance: at which the Jacobi iteration stops, relative to the largest coordinate of a row; None is 16 times the
            dtype's resolution. Unused with a `MaskedMLP`, whose inverse is exact.
        block: tokens that the inverse of a `CausalNetwork` solves for together; 1 is strictly sequential.

    Raises:
        SpecError: the space holds no vectors or tokens, or the map or the network does not fit it.
    """

    undo = Undo.INVERSE

    def __init__(
        self,
        scalar: Scalar,
        space: Space,
        net: nn.Module,
        *,
        context: int | Space = 0,
        tolerance: float | None = None,
        block: int = 1,
    ) -> None:
        super().__init__()
        scalar.check(space)
        if len(space.shape) not in (1, 2):
            raise SpecError(f"expected a space of vectors or tokens, got {space}")
        if block < 1:
            raise SpecError(f"expected blocks of at least one token, got {block}")
        labels = space.one_hot
        features, width = space.shape if labels else (space.size, 1)
        if isinstance(net, MaskedMLP) and (net.features, net.n, net.width) != (features, scalar.n, width):
            raise SpecError(
                f"expected a MaskedMLP of {features} features of width {width} with {scalar.n} parameters each, "
                f"got {net.features} of width {net.width} with {net.n}"
            )
        self.tokens = len(space.shape) == 2 and not labels
        shape = (space.shape[0], scalar.n * space.shape[1]) if self.tokens else (features, scalar.n)
        self.net = as_conditioner(net, shape, dim=-1)
        self.scalar, self.tolerance, self.block = scalar, tolerance, block
        self.x_space = self.z_space = space
        self.context = context_space(context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, D) -> (B, D), (B,); one pass."""
        z, slopes = self.scalar.forward(x, self._parameters_of(self.net(self._flat(x), context)))
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Coordinate by coordinate: about one pass with a MaskedMLP, a few with another network."""
        if torch.is_grad_enabled() and not self._random and not self.x_space.discrete:
            parameters = list(self.net.parameters())
            tensors = (z, *parameters) if context is None else (z, context, *parameters)
            if ordinary(tensors) and any(t.requires_grad for t in tensors):
                return _Solution.apply(self, z, context, *parameters)
        return self.solve(z, context)

    @property
    def _random(self) -> bool:
        return self.training and any(isinstance(part, nn.Dropout) and part.p > 0 for part in self.net.modules())

    def solve(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The inverse, every step recorded where gradients are enabled."""
        if isinstance(self.net, CausalNetwork) and not self._random:
            return self._solve_tokens(self.net, z, context)
        if not isinstance(self.net, MaskedMLP) or self._random:
            x = jacobi(
                lambda x: self.scalar.inverse(z, self._made(x, context))[0],
                torch.zeros_like(z),
                z.shape[1],
                self._stop_at(z),
            )
            return x, sum_events(self.scalar.inverse(z, self._made(x, context))[1])
        columns = z.transpose(0, 1).contiguous()
        slopes = []

        def step(i: int, p: Tensor) -> Tensor:
            x, slope = self.scalar.part(i).inverse(columns[i], p)
            slopes.append(slope)
            return x

        x = self.net.unroll(step, z, context).reshape(z.shape)
        return x, torch.stack(slopes).sum(0) if slopes else z.new_zeros(z.shape[0])

    def _solve_tokens(self, net: CausalNetwork, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Block after block, the tokens before each kept as keys and values."""
        known, cache = z.new_zeros(z.shape[0], 0, z.shape[2]), net.begin(z, context)
        slopes = []
        for right in z.split(self.block, 1):
            sweep = functools.partial(self._sweep, net, known, cache, right)
            guess = torch.zeros_like(right)
            if right.shape[1] > 1:
                guess = jacobi(lambda x, sweep=sweep: sweep(x)[0], guess, right.shape[1] - 1, self._stop_at(z))  # type: ignore[misc]
            solved, slope, cache = sweep(guess)
            slopes.append(sum_events(slope))
            known = torch.cat([known, solved], 1)
        return known, torch.stack(slopes).sum(0)

    def _sweep(
        self, net: CausalNetwork, known: Tensor, cache: Any, right: Tensor, guess: Tensor
    ) -> tuple[Tensor, Tensor, Any]:
        """A block of tokens from a guess of them and those before, their log-slopes, and the cache with the guess."""
        first = known.shape[1]
        before = torch.cat([known[:, max(0, first - 1) :], guess[:, :-1]], 1)
        made, grown = net.extend(before, first, cache)
        scalar = self.scalar.part(range(first, first + right.shape[1]))
        return *scalar.inverse(right, self._parameters_of(made)), grown

    def solve_transposed(
        self, x: Tensor, made: Tensor, context: Tensor | None, g_x: Tensor, g_log: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The cotangents of z and, with the sign turned, of the network's output, from those of x and of log |det dx/dz|.

        With z_i = f(x_i; p_i), log-slopes l_i and N = dp/dx the Jacobian of the network, they are the u and q with

            q_i = g_log dl_i/dp_i + u_i df_i/dp_i,    u_i = (g_x_i - g_log dl_i/dx_i - (N^T q)_i) / (df_i/dx_i)

        which is triangular: (N^T q)_i holds the q of later coordinates only.

        Args:
            x: (B, D), the solution.
            made: (B, D, n) or (B, T, d, n), the parameters that the network gives there, recorded from x.
            context: (B, context) or None.
            g_x: (B, D).
            g_log: (B,).

        Returns:
            u (B, D) and q (B, D, n).
        """
        with torch.enable_grad():
            at, p = x.detach().requires_grad_(), made.detach().requires_grad_()
            z, slopes = self.scalar.forward(at, p)
        f_x, f_p = torch.autograd.grad(z, (at, p), torch.ones_like(z), retain_graph=True)
        l_x, l_p = torch.zeros_like(f_x), torch.zeros_like(f_p)
        if slopes.requires_grad:
            l_x, l_p = torch.autograd.grad(
                slopes,
                (at, p),
                g_log[(..., *(None for _ in slopes.shape[1:]))].expand_as(slopes),
                materialize_grads=True,
            )
        right = g_x - l_x
        if not isinstance(self.net, MaskedMLP):

            def sweep(u: Tensor) -> Tensor:
                (sent,) = torch.autograd.grad(made, x, l_p + u[..., None] * f_p, retain_graph=True, allow_unused=True)
                return (right if sent is None else right - sent) / f_x

            u = jacobi(sweep, torch.zeros_like(x), x.shape[1], self._stop_at(x))
            return u, l_p + u[..., None] * f_p
        right, f_x = right.mT.contiguous(), f_x.mT.contiguous()
        found: list[tuple[int, Tensor, Tensor]] = []

        def step(i: int, sent: Tensor) -> Tensor:
            u = (right[i] - sent).div_(f_x[i])
            q = torch.addcmul(l_p[:, i], f_p[:, i], u[:, None])
            found.append((i, u, q))
            return q

        self.net.pull(step, x, context)
        found.sort(key=lambda entry: entry[0])
        return torch.stack([u for _, u, _ in found], 1), torch.stack([q for _, _, q in found], 1)

    def _parameters_of(self, made: Tensor) -> Tensor:
        return made.unflatten(2, (self.scalar.n, -1)).movedim(2, -1) if self.tokens else made

    def _flat(self, x: Tensor) -> Tensor:
        """Labels side by side, as a MaskedMLP takes them."""
        return x.flatten(1) if isinstance(self.net, MaskedMLP) else x

    def _made(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The parameters in full precision."""
        x = self._flat(x)
        made = self.net.compute(x, context) if isinstance(self.net, Network) else self.net(x, context)
        return self._parameters_of(made)

    def _stop_at(self, v: Tensor) -> float:
        return 16 * torch.finfo(v.dtype).eps if self.tolerance is None else self.tolerance


class _Solution(torch.autograd.Function):
    """The inverse, with its gradient by the implicit function rule: no step of the solution is kept."""

    @staticmethod
    def forward(
        ctx: Any, layer: Autoregressive, z: Tensor, context: Tensor | None, *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        x, dlogp = layer.solve(z, context)
        ctx.layer = layer
        ctx.save_for_backward(x, z, context, *parameters)
        return x, dlogp

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        x, z, context, *parameters = ctx.saved_tensors
        inputs = (z, context, *parameters)
        if torch.is_grad_enabled():
            # A second derivative is wanted: record the steps after all.
            return None, *second_gradient(ctx.layer.solve(z, context), inputs, cotangents)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            made = ctx.layer._made(x, context)
        u, q = ctx.layer.solve_transposed(x, made, context, *cotangents)
        below = [t for t in inputs[1:] if t is not None and t.requires_grad]
        found = iter(torch.autograd.grad(made, below, -q, materialize_grads=True) if below else ())
        return None, u, *(next(found) if t is not None and t.requires_grad else None for t in inputs[1:])
