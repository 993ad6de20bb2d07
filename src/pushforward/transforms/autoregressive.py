"""Autoregressive layers: each coordinate is mapped with parameters computed from the coordinates before it.

    z_i = f(x_i; net_i(x_<i, context)),    dlogp = sum_i log f'(x_i)

The Jacobian is triangular (Papamakarios et al. 2017, arXiv:1705.07057, section 3). Forward is one pass through the network.
The inverse solves for one coordinate after the other. With an `OrderedNetwork`, such as `MaskedMLP` or `NADENetwork`, it also
costs about one pass, because each hidden unit is computed once, as soon as the last of its inputs is known. With any other
network the inverse is a Jacobi iteration: repeated passes, which stop when the result no longer changes and are exact after D
of them, or with a `GraphMLP` after as many as the longest path of its graph has features.

Coordinates may also be tokens, vectors of equal length: every number of a token is mapped with parameters computed from the
tokens before it (Zhai et al. 2024, arXiv:2412.06329, eq. 3). With a causal transformer the inverse solves for one token after
the other and keeps the keys and values of earlier tokens, or it solves for blocks of tokens, each by a Jacobi iteration.

Coordinates may also be labels as one-hot vectors (Tran et al. 2019, arXiv:1905.10347, section 4.1): each label has one set of
parameters.
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
from ..networks import CausalNetwork, GraphMLP, MaskedMLP, Network, OrderedNetwork, angle_code, as_conditioner
from .scalar import Scalar


class Autoregressive(Transform):
    """Autoregressive layer: z_i = scalar(x_i; net_i(x_<i)).

    Args:
        scalar: Map of one coordinate.
        space: Space of x and z: (D,) for vectors, (T, d) for T tokens, or `OneHot` labels (D, K).
        net: Network from (B, D) and the context to (B, D, scalar.n), where output i depends only on coordinates before i
            in some order: an `OrderedNetwork`, or any network with that property. For tokens the network maps (B, T, d) to
            (B, T, scalar.n d), the first parameter of all numbers of a token, then the second: a `CausalNetwork`, or any
            network with that property. For labels it maps (B, D, K) to (B, D, scalar.n), or it is an `OrderedNetwork` of
            width K. In a space with angles, such as `Torus`, each coordinate is a pair of inputs, (cos, sin) of an angle or
            (x, 0) of another number: an `OrderedNetwork` then has width 2, and any other network takes (B, 2 D). A module with
            one argument is called without a context if there is none; otherwise the context is concatenated along the last
            dimension, and the module gets (B, D + C), or (B, T, d + C) for tokens.
        context: Length of the context, 0 for none; or its space.
        tolerance: Change at which the Jacobi iteration stops, relative to the largest coordinate of a row; None means 16
            times the resolution of the dtype. Not used with an `OrderedNetwork`, whose inverse is exact.
        block: Number of tokens that the inverse of a `CausalNetwork` solves for together; 1 is strictly sequential.

    Raises:
        SpecError: The space does not hold vectors or tokens, or the map or the network does not fit it.
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
        # An angle is seen as its cosine and sine, so in a space with angles every coordinate is a pair of inputs.
        self.code = angle_code(space.angles) if len(space.shape) == 1 else None
        features, width = space.shape if labels else (space.size, 1 if self.code is None else 2)
        if isinstance(net, OrderedNetwork) and (net.features, net.n, net.width) != (features, scalar.n, width):
            raise SpecError(
                f"expected a network of {features} features of width {width} with {scalar.n} parameters each, "
                f"got {net.features} of width {net.width} with {net.n}"
            )
        self.tokens = len(space.shape) == 2 and not labels
        shape = (space.shape[0], scalar.n * space.shape[1]) if self.tokens else (features, scalar.n)
        self.net = as_conditioner(net, shape, dim=-1)
        self.scalar, self.tolerance, self.block = scalar, tolerance, block
        # Number of coordinates that depend on each other one after the other, and with it the number of Jacobi sweeps.
        self.depth = net.depth if isinstance(net, GraphMLP) else space.shape[0]
        self.x_space = self.z_space = space
        self.context = context_space(context)

    def mapped(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x, all of which the layer maps, and its parameters (..., scalar.n)."""
        return x, self._parameters_of(self.net(self._flat(x), context))

    def replaced(self, x: Tensor, b: Tensor) -> Tensor:
        """Return b, the new values of all coordinates."""
        return b

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and dlogp from one pass of the network: (B, D) -> (B, D), (B,) in nats."""
        z, slopes = self.scalar.forward(*self.mapped(x, context))
        return z, sum_events(slopes)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return x and dlogp, solved for one coordinate after the other: (B, D) -> (B, D), (B,) in nats."""
        # `_Solution` needs a deterministic network: with dropout, the backward pass would run another function.
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
        """Return the inverse; every step is recorded by autograd where gradients are enabled."""
        if isinstance(self.net, CausalNetwork) and not self._random:
            return self._solve_tokens(self.net, z, context)
        if not isinstance(self.net, OrderedNetwork) or self._random:
            x = jacobi(
                lambda x: self.scalar.inverse(z, self._made(x, context))[0],
                torch.zeros_like(z),
                self.depth,
                self._stop_at(z),
            )
            return x, sum_events(self.scalar.inverse(z, self._made(x, context))[1])
        columns = z.transpose(0, 1).contiguous()
        slopes = []

        solved: dict[int, Tensor] = {}

        def step(i: int, p: Tensor) -> Tensor:
            x, slope = self.scalar.part(i).inverse(columns[i], p)
            slopes.append(slope)
            if self.code is None:
                return x
            solved[i] = x
            return self.code.pair(i, x)

        x = self.net.unroll(step, z, context)
        x = x.reshape(z.shape) if self.code is None else torch.stack([solved[i] for i in range(len(solved))], 1)
        return x, torch.stack(slopes).sum(0) if slopes else z.new_zeros(z.shape[0])

    def _solve_tokens(self, net: CausalNetwork, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the inverse, block after block, with the keys and values of earlier tokens kept in a cache."""
        known, cache = z.new_zeros(z.shape[0], 0, z.shape[2]), net.begin(z, context)
        slopes = []
        for right in z.split(self.block, 1):
            sweep = functools.partial(self._sweep, net, known, cache, right)
            guess = torch.zeros_like(right)
            if right.shape[1] > 1:
                # The last pass below computes the block once more, so right.shape[1] - 1 iterations are enough here.
                guess = jacobi(lambda x, sweep=sweep: sweep(x)[0], guess, right.shape[1] - 1, self._stop_at(z))  # type: ignore[misc]
            solved, slope, cache = sweep(guess)
            slopes.append(sum_events(slope))
            known = torch.cat([known, solved], 1)
        return known, torch.stack(slopes).sum(0)

    def _sweep(
        self, net: CausalNetwork, known: Tensor, cache: Any, right: Tensor, guess: Tensor
    ) -> tuple[Tensor, Tensor, Any]:
        """Return a block of tokens, their log-slopes and the cache with the block, from a guess of the block.

        Args:
            net: Network of the layer.
            known: Tokens before the block, (B, first, d).
            cache: Cache of the network up to the block.
            right: Latent tokens of the block, (B, block, d).
            guess: Guess of the tokens of the block, (B, block, d).
        """
        first = known.shape[1]
        # The parameters of a token depend on the tokens before it: shift the input by one.
        before = torch.cat([known[:, max(0, first - 1) :], guess[:, :-1]], 1)
        made, grown = net.extend(before, first, cache)
        scalar = self.scalar.part(range(first, first + right.shape[1]))
        return *scalar.inverse(right, self._parameters_of(made)), grown

    def solve_transposed(
        self, x: Tensor, made: Tensor, context: Tensor | None, g_x: Tensor, g_log: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Solve the transposed system of the inverse's gradient, by the implicit function rule.

        The inverse x(z) satisfies z_i = f(x_i; p_i) with p = net(x), and dlogp = -sum_i l_i with l_i = log f'(x_i; p_i). Write
        N = dp/dx for the Jacobian of the network. Differentiating z = f gives (diag(df/dx) + df/dp N) dx = dz. The cotangent
        g_x and the explicit part of dlogp then give, with u the cotangent of z and -q the cotangent of the parameters p,

            q_i = g_log dl_i/dp_i + u_i df_i/dp_i,    u_i = (g_x_i - g_log dl_i/dx_i - (N^T q)_i) / (df_i/dx_i).

        This system is triangular, because (N^T q)_i contains the q of later coordinates only: it is solved from the last
        coordinate to the first.

        Args:
            x: Solution of the inverse, (B, D), a leaf that requires a gradient.
            made: Parameters that the network computes from x, (B, D, n) or (B, T, d, n), recorded by autograd.
            context: Context, (B, context), or None.
            g_x: Cotangent of x, (B, D).
            g_log: Cotangent of dlogp, (B,).

        Returns:
            u (B, D), the cotangent of z; and q (B, D, n), minus the cotangent of the network's output.
        """
        with torch.enable_grad():
            at, p = x.detach().requires_grad_(), made.detach().requires_grad_()
            z, slopes = self.scalar.forward(at, p)
        # f and l act on each coordinate separately, so one vector-Jacobian product with ones gives all their derivatives.
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
        if not isinstance(self.net, MaskedMLP) or self.code is not None:
            # `sent` is N^T q, one backward pass through the network. A Jacobi iteration solves the triangular system.
            def sweep(u: Tensor) -> Tensor:
                (sent,) = torch.autograd.grad(made, x, l_p + u[..., None] * f_p, retain_graph=True, allow_unused=True)
                return (right if sent is None else right - sent) / f_x

            u = jacobi(sweep, torch.zeros_like(x), self.depth, self._stop_at(x))
            return u, l_p + u[..., None] * f_p
        right, f_x = right.mT.contiguous(), f_x.mT.contiguous()
        found: list[tuple[int, Tensor, Tensor]] = []

        def step(i: int, sent: Tensor) -> Tensor:
            u = (right[i] - sent).div_(f_x[i])
            q = torch.addcmul(l_p[:, i], f_p[:, i], u[:, None])
            found.append((i, u, q))
            return q

        # The masked network is run backwards unit by unit, so every q is known when an earlier coordinate needs it.
        self.net.pull(step, x, context)
        found.sort(key=lambda entry: entry[0])
        return torch.stack([u for _, u, _ in found], 1), torch.stack([q for _, _, q in found], 1)

    def _parameters_of(self, made: Tensor) -> Tensor:
        return made.unflatten(2, (self.scalar.n, -1)).movedim(2, -1) if self.tokens else made

    def _flat(self, x: Tensor) -> Tensor:
        """Return x as the network takes it: pairs for angles, and for an OrderedNetwork one-hot vectors side by side."""
        if self.code is not None:
            return self.code.pairs(x).flatten(1)
        return x.flatten(1) if isinstance(self.net, OrderedNetwork) else x

    def _made(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Return the parameters, computed in full precision also under autocast."""
        x = self._flat(x)
        made = self.net.compute(x, context) if isinstance(self.net, Network) else self.net(x, context)
        return self._parameters_of(made)

    def _stop_at(self, v: Tensor) -> float:
        return 16 * torch.finfo(v.dtype).eps if self.tolerance is None else self.tolerance


class _Solution(torch.autograd.Function):
    """Inverse whose gradient follows from the implicit function rule; no step of the solution is kept.

    `Autoregressive.solve_transposed` derives u and q.
    """

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
            # Second derivatives are asked for: solve again and let autograd record every step.
            return None, *second_gradient(ctx.layer.solve(z, context), inputs, cotangents)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            made = ctx.layer._made(x, context)
        u, q = ctx.layer.solve_transposed(x, made, context, *cotangents)
        below = [t for t in inputs[1:] if t is not None and t.requires_grad]
        # -q is the cotangent of the network's output; autograd carries it to the context and the parameters.
        found = iter(torch.autograd.grad(made, below, -q, materialize_grads=True) if below else ())
        return None, u, *(next(found) if t is not None and t.requires_grad else None for t in inputs[1:])
