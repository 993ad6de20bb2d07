"""Laws about noise, contexts, bounds, scales, total mass and samples."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ..core import (
    Chain,
    Distribution,
    Exactness,
    Flow,
    Inverse,
    Real,
    Space,
    Transform,
    exactly,
)
from ..errors import SpecError
from .cases import Case, distributions_in, draw, draw_context, transforms_in
from .interface import _name, example, seeded
from .layers import layers_with_data
from .violations import LawBroken, NotApplicable, require, require_close


def law_noise_is_declared(case: Case) -> None:
    """Check that two calls of log_prob differ if and only if the exactness includes NOISY."""
    node, x, c = example(case)
    call = node.log_prob if isinstance(node, Distribution) else lambda x, c: node(x, c)[1]
    first = call(x, c)
    # Random labels may agree by chance, so a noisy model has several calls in which to differ.
    calls = 8 if Exactness.NOISY in node.exactness else 1
    same = all(torch.equal(call(x, c), first) for _ in range(calls))
    require(
        same == (Exactness.NOISY not in node.exactness), f"the calls {'agree' if same else 'differ'}: {node.exactness}"
    )


def law_contribution_varies(case: Case) -> None:
    """Check that the case is not degenerate: the log-density is not zero, and the contribution varies with x."""
    node, x, c = example(case)
    if case.constant:
        raise NotApplicable("constant by design")
    value = node.log_prob(x, c) if isinstance(node, Distribution) else node(x, c)[1]
    require(bool((value != 0).any()) or x.dtype == torch.int64, "the contribution is zero everywhere")
    layers = isinstance(node, Flow) and any(True for _ in node.chain.parameters())
    if layers and isinstance(node, Flow) and not node.space.discrete and not node.exactness:
        dlogp = node.chain(x, node._embedded(c))[1]
        require(float(dlogp.detach().std()) > 1e-6, "the chain's contribution does not vary with x")


def law_context_matters(case: Case) -> None:
    """Check that another context gives another density, in every conditioned coordinate and every conditioned layer."""
    node, x, c = example(case)
    if c is None or node.context is None:
        raise NotApplicable("no context")
    other = node.context.another(c)
    if isinstance(node, Distribution):
        changed = (seeded(node, x, c) - seeded(node, x, other)).abs().detach()
        # A random model needs to change for some of the rows only, because few layers see the whole row.
        least = changed.max() if Exactness.NOISY in node.exactness else changed.min()
        require(float(least) > 1e-9, "log_prob does not change with the context")
    elif isinstance(node, Transform):
        moved = (node(x, c)[0] - node(x, other)[0]).abs().amax(0).flatten().detach()
        require(bool((moved > 1e-9).any()), "the image does not change with the context")
    for layer, v, given in layers_with_data(case) if isinstance(node, Flow) else []:
        if given is None or layer.context is None or layer.exactness:
            continue
        pairs = zip(layer(v, given), layer(v, layer.context.another(given)), strict=True)
        require(
            not all(torch.equal(*pair) for pair in pairs), f"{_name(layer)}: neither z nor dlogp depends on the context"
        )
    # If only the base has a context, the layers may carry it to any subset of the coordinates.
    if isinstance(node, Flow) and not node.space.discrete and node.chain.context is not None:
        z = draw(node.base, "space", len(x), torch.float64)
        images = []
        for given in (c, other):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(8)  # layers that draw use the same random numbers
                images.append(node.decode(z, given))
        moved = (images[0] - images[1]).abs().amax(0).flatten().detach()
        if len({type(m) for m in transforms_in(node)} & {Inverse}) or case.spec is not None:
            require(
                float(moved.min()) > 1e-9,
                f"coordinates {(moved <= 1e-9).nonzero().flatten().tolist()} ignore the context",
            )


@torch.no_grad()
def law_codes(case: Case) -> None:
    """Check that an event is restored from its codes, and that codes drawn from the bases give the samples of a seed."""
    node, x, c = example(case)
    if not isinstance(node, Distribution):
        raise NotApplicable("a layer")
    node, rows = exactly(node), len(x)

    def fresh(base: Distribution, context: Tensor | None) -> Tensor:
        return base._sample(rows, context)[0]

    torch.manual_seed(6)
    drawn = node._sample(rows, c)[0]
    torch.manual_seed(6)
    require_close(
        node._put_together(fresh, c), drawn, 1e-10, "samples, and events put together from codes of the bases"
    )
    codes = node._take_apart(x, c)
    again = []
    for _ in range(2):
        left = list(codes)

        def given(base: Distribution, context: Tensor | None, left: list[Tensor] = left) -> Tensor:
            require(left, f"the event was taken apart into {len(codes)} codes only")
            code = left.pop()
            require(tuple(code.shape) == (rows, *base.space.shape), f"a code of shape {tuple(code.shape)}")
            return code

        again.append(node._put_together(given, c))
        require(not left, f"{len(left)} of {len(codes)} codes were not asked for")
    if torch.equal(*again):  # not if a decoder is random
        require_close(again[0], x, 1e-6, "an event put together from its codes, and itself")


def law_sandwich(case: Case) -> None:
    """Check on a model's samples that their reported log-density is at least log_prob in the mean, and equal if exact."""
    node = case.build()
    if not isinstance(node, Distribution):
        raise NotApplicable("a layer")
    if Exactness.UPPER in node.exactness and Exactness.LOWER in node.exactness:
        raise NotApplicable("the direction of the bias is unknown")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(2)
        c = draw_context(node, 1, torch.float64)
        x, upper = node.sample_and_log_prob(2000, None if c is None else c[0])
        lower = node.log_prob(x, None if c is None else c[0])
    if not node.exactness:
        require_close(upper, lower, 1e-5, "log-density of samples: when drawn, and by log_prob")
    else:
        gap, error = (upper - lower).mean(), (upper - lower).std() / math.sqrt(len(upper))
        require(float(gap) > -4 * float(error), f"upper minus lower is {float(gap):.4f} +- {float(error):.4f}")
        require(float(gap) < 10 * max(2, node.space.size), f"the bound is {float(gap):.1f} nats wide")


def law_scales(case: Case) -> None:
    """Check float32 round trips of each layer from 1e-3 to 1e4 deviations: no NaN, relative error at most 1e-4.

    The error is relative to the largest of the row's x, its z and one deviation. Where the map is so steep that rounding
    z to float32 alone costs more (k eps, with k the norm of the inverse's Jacobian), four times that cost is allowed instead.
    """
    found = False
    for layer, x, c in layers_with_data(case, torch.float32):
        if not layer.one_to_one or isinstance(layer, Chain) or type(layer.x_space) is not Real:
            continue
        if type(layer.z_space) is not Real or layer.x_space.size != layer.z_space.size:
            continue
        found = True
        for scale in (1e-3, 1.0, 1e2, 1e4):
            v = x * scale
            with torch.no_grad():
                z, dlogp = layer(v, c)
                back, opposite = layer.inverse(z, c)
            size = torch.maximum(v.abs().flatten(1).amax(1), z.abs().flatten(1).amax(1)).clamp_min(1.0)
            error = (back - v).abs().flatten(1).amax(1) / size
            where = f"{_name(layer)} in float32 at scale {scale:g}"
            require(
                bool(z.isfinite().all() and dlogp.isfinite().all() and opposite.isfinite().all()),
                f"{where}: not finite",
            )
            for i in (error > 1e-4).nonzero().flatten().tolist():
                allowed = (
                    4
                    * torch.finfo(torch.float32).eps
                    * _steepness(layer, v[i : i + 1], c if c is None else c[i : i + 1])
                )
                require(float(error[i]) <= allowed, f"{where}: relative round-trip error {float(error[i]):.2g}")
    if not found:
        raise NotApplicable("no exact layer on the line")


def _steepness(layer: Transform, x: Tensor, context: Tensor | None) -> float:
    """Return the largest row sum of |dx/dz| at one point, in float64."""
    exact = copy.deepcopy(layer).double()
    given = None if context is None else context.double()
    jacobian = torch.autograd.functional.jacobian(lambda v: exact(v, given)[0], x.double())
    return float(torch.linalg.inv(jacobian.reshape(x.numel(), x.numel())).abs().sum(1).max())


def law_boundary(case: Case) -> None:
    """Check that results and gradients are finite on the edges of a box, on spline knots and at zero."""
    found = False
    for layer, x, c in layers_with_data(case):
        values = layer.x_space.edges()
        if not values:
            continue
        found = True
        v = torch.cat([torch.full_like(x, value) for value in values]).requires_grad_()
        z, dlogp = layer(v, None if c is None else c.repeat(len(values), *[1] * (c.dim() - 1)))
        for value, points, terms in zip(values, z.split(len(x)), dlogp.split(len(x)), strict=True):
            finite = bool(points.isfinite().all() and terms.isfinite().all())
            require(finite, f"{_name(layer)} at {value}: not finite")
        if layer.z_space.discrete:
            continue
        (gradient,) = torch.autograd.grad(dlogp.sum() + z.sum(), v, allow_unused=True)
        if gradient is not None:
            for value, slopes in zip(values, gradient.split(len(x)), strict=True):
                require(not bool(slopes.isnan().any()), f"{_name(layer)} at {value}: NaN gradient")
    if not found:
        raise NotApplicable("no continuous layer")


def masses(dist: Distribution, x: Tensor, weights: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the mean of exp(log_prob) times the weight at every point, and its variance.

    A random log_prob is evaluated repeatedly.
    """
    repeats = 1
    if Exactness.NOISY in dist.exactness:
        repeats = max(1, min(4000, 200_000 // max(len(x), 1)))
    total, variance = (torch.zeros(len(x), dtype=torch.float64) for _ in range(2))
    with torch.no_grad():
        for start in range(0, len(x), 100_000):
            piece = x[start : start + 100_000].repeat_interleave(repeats, 0)
            c = None if context is None else context.expand(len(piece), *context.shape[1:])
            p = dist.log_prob(piece, c).exp().double().reshape(-1, repeats)
            total[start : start + 100_000] = p.mean(1)
            variance[start : start + 100_000] = p.var(1, unbiased=False) / repeats
    return total * weights, variance * weights.square()


def _covered(case: Case) -> Iterator[tuple[Distribution, Tensor, Tensor]]:
    """Yield every distribution in the case that has a quadrature rule, with the points and weights of the rule.

    Raises:
        NotApplicable: There is no such distribution.
    """
    found = False
    node = case.build()
    solved = any(layer.exact_twin() is not None for layer in transforms_in(node))
    # Exact twins: the mean of exp(estimate) is above exp of the mean (Jensen), and few solver steps have an error.
    for dist in distributions_in(exactly(node)):
        if dist.space.size > 4:
            continue
        try:
            # Densities of ODE flows are smooth, and each point costs many network evaluations: use fewer points.
            x, weights = dist.space.quadrature(100 if solved else 700)
        except SpecError:
            continue
        found = True
        yield dist, x, weights
    if not found:
        raise NotApplicable("no distribution small enough")


def law_total_mass(case: Case) -> None:
    """Check that exp(log_prob) sums or integrates to one, in the mean, for every distribution in the case."""
    for dist, x, weights in _covered(case):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            mass, variance = masses(dist, x, weights, draw_context(dist, 1, torch.float64))
        total, error = float(mass.sum()), math.sqrt(float(variance.sum()))
        tolerance = max(0.05, 4 * error) if Exactness.NOISY in dist.exactness else 2e-3
        require(error < 0.2, f"{_name(dist)} on {dist.space}: the total mass is known to {error:.2f} only")
        require(abs(total - 1) < tolerance, f"{_name(dist)} on {dist.space}: total mass {total:.5f}")


def law_samples_follow_density(case: Case) -> None:
    """Check that counts of samples in cells agree with the density's mass there: a chi-square within five deviations."""
    for dist, x, weights in _covered(case):
        n = 5000
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(5)
            c = draw_context(dist, 1, torch.float64)
            mass, variance = masses(dist, x, weights, c)
            s = dist.sample(n, None if c is None else c[0])
        share, uncertain, counts = _cells(s.flatten(1).double(), x.flatten(1).double(), mass, variance)
        expected = share * n
        if Exactness.NOISY in dist.exactness:  # the masses are also estimates
            off = (counts / n - share).abs()
            worst = float(off.max())
            within = off < (4 * uncertain.sqrt()).clamp_min(0.05)
            require(bool(within.all()), f"{_name(dist)}: a cell's share of samples is off by {worst:.3f}")
            continue
        keep = expected > 5
        rest_e, rest_c = float(expected[~keep].sum()), float(counts[~keep].sum())
        chi = float(((counts[keep] - expected[keep]).square() / expected[keep]).sum())
        freedom = int(keep.sum()) - 1
        if rest_e > 1:
            chi, freedom = chi + (rest_c - rest_e) ** 2 / rest_e, freedom + 1
        limit = freedom + 5 * math.sqrt(2 * max(freedom, 1)) + 5
        require(chi <= limit, f"{_name(dist)}: chi-square {chi:.1f} on {freedom} degrees of freedom")
        require(
            rest_c <= rest_e + 6 * math.sqrt(rest_e) + 6,
            f"{_name(dist)}: {rest_c:.0f} samples where {rest_e:.1f} belong",
        )


@torch.no_grad()
def law_mass_by_samples(case: Case) -> None:
    """Check that the mean of h(x) / p(x) over samples x of p is one, for a normal h inside of p.

    This holds for every p whose samples and log_prob belong together and which integrates to one. It serves where no quadrature
    rule exists.
    """
    node = case.build()
    if not isinstance(node, Distribution) or type(node.space) is not Real or _integrable(node.space):
        raise NotApplicable("a layer, or a quadrature rule exists, or the space is not real")
    node = exactly(node)
    if node.exactness:
        raise NotApplicable("the density is a bound or an estimate")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        c = draw_context(node, 1, torch.float64)
        c = None if c is None else c[0]
        first, x = (node.sample(20_000, c).flatten(1) for _ in range(2))
        # h is narrower than p, so the ratio has light tails.
        covariance = 0.4 * torch.cov(first.mT)
        inside = torch.distributions.MultivariateNormal(first.mean(0), covariance)
        log_p = node.log_prob(x.reshape(-1, *node.space.shape), c)
        ratio = (inside.log_prob(x) - log_p).exp()
    mean, error = float(ratio.mean()), float(ratio.std()) / math.sqrt(len(ratio))
    if not error < 0.1:
        raise NotApplicable(f"the samples are too far from normal: the mean ratio is known to {error:.2f} only")
    require(
        abs(mean - 1) < 5 * error + 1e-3, f"{_name(node)} on {node.space}: the mean ratio is {mean:.4f} +- {error:.4f}"
    )


def law_density_is_checked(case: Case) -> None:
    """Check that some law tests the total mass of a continuous density."""
    node = case.build()
    if not isinstance(node, Distribution) or node.space.discrete:
        raise NotApplicable("a layer, or a discrete space")
    if node.space.size <= 4 and _integrable(node.space):
        return
    try:
        law_mass_by_samples(case)
    except NotApplicable as reason:
        raise LawBroken(
            f"no law can check the total mass of a density on {node.space} ({reason}); give the space a quadrature or the case "
            "an exemption with its reason"
        ) from None


def _integrable(space: Space) -> bool:
    """Return whether a space has a quadrature rule."""
    try:
        space.quadrature(10)
    except SpecError:
        return False
    return True


def _cells(samples: Tensor, points: Tensor, mass: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return expected mass, its variance and the number of samples, in the product cells of the marginals' sixths."""
    index_points = torch.zeros(len(points), dtype=torch.long)
    index_samples = torch.zeros(len(samples), dtype=torch.long)
    for j in range(points.shape[1]):
        order = points[:, j].argsort()
        cumulative = mass[order].cumsum(0)
        at = torch.searchsorted(cumulative, torch.linspace(0, 1, 7, dtype=mass.dtype)[1:-1] * cumulative[-1])
        values = points[order, j]
        # An edge lies half-way to the next grid value, so no grid point or integer lies on it.
        edges = []
        for k in at.tolist():
            above = values[values > values[k]]
            edges.append((values[k] + above.min()) / 2 if len(above) else values[k] + 0.5)
        cut = torch.stack(edges).unique()
        index_points = index_points * 7 + torch.bucketize(points[:, j].contiguous(), cut)
        index_samples = index_samples * 7 + torch.bucketize(samples[:, j].contiguous(), cut)
    size = 7 ** points.shape[1]
    counts = torch.bincount(index_samples, minlength=size).double()
    return torch.bincount(index_points, mass, size), torch.bincount(index_points, variance, size), counts


__all__ = ["LawBroken", "masses"]
