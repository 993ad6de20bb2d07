"""Laws about single layers: round trips, gradients, contributions and Jacobians."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ..core import Chain, Exactness, Real, Space, Transform
from ..functional.turning import TURN
from ..transforms import Injective, Residual, Stochastic
from .cases import Case, draw, draw_context, transforms_in
from .interface import _name
from .violations import NotApplicable, require, require_close

ROWS = 8
STEP = 1e-7
SEAM = 1e-9
"""Distance from a full turn at which the two sides are compared."""
TWINS = 1e-2
"""Largest difference between an approximation with few steps or terms and its exact twin, relative to the events' size."""


def layers_with_data(case: Case, dtype: torch.dtype = torch.float64) -> list[tuple[Transform, Tensor, Tensor | None]]:
    """Return every layer of a case, and their exact twins, with events of the data side, some far out, and a context."""
    node = case.build(dtype)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        found = []
        # The twin of a chain with one layer would be the twin of that layer again.
        several = [layer for layer in transforms_in(node) if not isinstance(layer, Chain) or len(layer.layers) > 1]
        twins = [twin for layer in several if (twin := layer.exact_twin()) is not None]
        for layer in (*transforms_in(node), *(twin.train(node.training) for twin in twins)):
            x = draw(layer, "x_space", ROWS, dtype)
            x[::2] = layer.x_space.extreme(x[::2])
            found.append((layer, x, draw_context(layer, ROWS, dtype)))
    if not found:
        raise NotApplicable("no layers")
    return found


def _require_same(space: Space, found: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Check that points of a space are equal up to rounding; angles near a full turn and near zero are close."""
    require(found.shape == expected.shape, f"{what}: shapes {tuple(found.shape)} and {tuple(expected.shape)}")
    require_close(space.difference(found, expected), torch.zeros_like(expected), tolerance, what)


def law_roundtrip(case: Case) -> None:
    """Check that each direction that is deterministic inverts the other."""
    for layer, x, c in layers_with_data(case):
        if layer.exact_twin() is not None:
            continue  # it is inverted up to its approximation only; its twin is checked
        z = layer(x, c)[0]
        forward_fixed = Exactness.NOISY not in layer.exactness and torch.equal(z, layer(x, c)[0])
        back = layer.inverse(z, c)[0]
        # Labels that are drawn may agree by chance.
        inverse_fixed = all(torch.equal(back, layer.inverse(z, c)[0]) for _ in range(4))
        if inverse_fixed:
            _require_same(layer.x_space, back, x, 1e-6, f"{_name(layer)}: inverse(forward(x)) and x")
        elif forward_fixed:
            _require_same(layer.z_space, layer(back, c)[0], z, 1e-6, f"{_name(layer)}: forward(inverse(z)) and z")


@torch.no_grad()
def law_roundtrip_after_a_change(case: Case) -> None:
    """Check that changed parameters give a new map in both directions, so that no cached value is outdated."""
    checked = False
    for layer, x, c in layers_with_data(case):
        if not layer.one_to_one or layer.z_space.size != layer.x_space.size or not list(layer.parameters()):
            continue
        checked = True
        layer.inverse(layer(x, c)[0], c)
        for p in layer.parameters():
            p.data.mul_(0.9)
        back = layer.inverse(layer(x, c)[0], c)[0]
        _require_same(layer.x_space, back, x, 1e-6, f"{_name(layer)}: round trip with changed parameters")
    if not checked:
        raise NotApplicable("no exact layer with parameters")


def law_roundtrip_from_latent(case: Case) -> None:
    """Check that forward(inverse(z)) is z for exact layers, freshly built ones too, also for z far out."""
    fresh = case.make().double().eval()
    at_start = [(layer, None, draw_context(layer, ROWS, torch.float64)) for layer in transforms_in(fresh)]
    for layer, _, c in [*layers_with_data(case), *at_start]:
        if not layer.one_to_one or layer.z_space.size != layer.x_space.size:
            continue
        z = draw(layer, "z_space", ROWS, torch.float64)
        on_the_line = (
            type(layer.z_space) is type(layer.x_space) is Real
        )  # in a box, far latent points are equal after rounding
        for scale in (1.0, 10.0) if on_the_line else (1.0,):
            again = layer(layer.inverse(z * scale, c)[0], c)[0]
            where = f"{_name(layer)}: forward(inverse(z)) and z at {scale:g} sigma"
            _require_same(layer.z_space, again, z * scale, 1e-6 * scale, where)


def law_gradient_through_inverse(case: Case) -> None:
    """Check that the Jacobians of the two directions are inverse matrices on the tangent space: J_inverse J_forward T = T."""
    checked = False
    for layer, x, c in layers_with_data(case):
        if not layer.one_to_one or layer.x_space.discrete or layer.x_space.size != layer.z_space.size:
            continue
        checked = True
        one, cc = x[:1], None if c is None else c[:1]
        z = layer(one, cc)[0].detach()
        size = layer.x_space.size
        jf = torch.autograd.functional.jacobian(lambda v: layer(v, cc)[0], one).reshape(size, size)  # noqa: B023
        ji = torch.autograd.functional.jacobian(lambda v: layer.inverse(v, cc)[0], z).reshape(size, size)  # noqa: B023
        # On flat spaces the basis T is the identity. A point cannot leave a curved space, so other directions mean nothing.
        tangent = layer.x_space.tangent(one)[0]
        require_close(ji @ jf @ tangent, tangent, 1e-5, f"{_name(layer)}: Jacobians of the two directions")
    if not checked:
        raise NotApplicable("no exact continuous layer")


def law_gradient_of_round_trip(case: Case) -> None:
    """Check the gradients of a round trip: the identity for x (along the space), and zero for parameters and context."""
    checked = False
    for layer, x, c in layers_with_data(case):
        if not layer.one_to_one or layer.x_space.discrete or layer.x_space.size != layer.z_space.size:
            continue
        checked = True
        leaf = x.detach().clone().requires_grad_()
        context = None if c is None or not c.is_floating_point() else c.detach().clone().requires_grad_()
        z, there = layer(leaf, c if context is None else context)
        back, again = layer.inverse(z, c if context is None else context)
        weights = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
        total = (weights * back).sum() + (torch.arange(1, len(x) + 1, dtype=x.dtype) * (there + again)).sum()
        silent = [p for p in (context, *layer.parameters()) if p is not None and p.requires_grad]
        of_x, *others = torch.autograd.grad(total, [leaf, *silent], materialize_grads=True)
        tangent = layer.x_space.tangent(x.detach()).mT
        along = [(tangent @ g.flatten(1).unsqueeze(-1)).squeeze(-1) for g in (of_x, weights)]
        require_close(along[0], along[1], 1e-6, f"{_name(layer)}: gradient of a round trip with respect to x")
        for other in others:
            require_close(
                other,
                torch.zeros_like(other),
                1e-5,
                f"{_name(layer)}: gradient of a round trip with respect to a parameter",
            )
    if not checked:
        raise NotApplicable("no exact continuous layer")


def law_gradient_of_parameters(case: Case) -> None:
    """Check gradients with respect to parameters against finite differences along a direction, for z, x and dlogp."""
    checked = False
    for layer, x, c in layers_with_data(case):
        parameters = [p for p in layer.parameters() if p.requires_grad]
        if not layer.one_to_one or layer.x_space.discrete or layer.x_space.size != layer.z_space.size or not parameters:
            continue
        checked = True
        z = layer(x, c)[0].detach()
        generator = torch.Generator().manual_seed(5)
        directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        for name, run, v in (("forward", layer, x), ("inverse", layer.inverse, z)):
            out, dlogp = run(v, c)
            weights = torch.randn(out.shape, generator=generator, dtype=out.dtype)
            shares = torch.randn(dlogp.shape, generator=generator, dtype=out.dtype)
            if not (out.requires_grad or dlogp.requires_grad):
                continue
            value = (weights * out).sum() + (shares * dlogp).sum()
            found = torch.autograd.grad(value, parameters, materialize_grads=True)
            analytic = sum((g * d).sum() for g, d in zip(found, directions, strict=True))
            ends = []
            for step in (STEP, -2 * STEP, STEP):
                for p, d in zip(parameters, directions, strict=True):
                    p.data.add_(d, alpha=step)
                with torch.no_grad():
                    out, dlogp = run(v, c)
                ends.append((weights * out).sum() + (shares * dlogp).sum())
            numeric = (ends[0] - ends[1]) / (2 * STEP)
            scale = float(1 + numeric.abs() + sum(g.abs().sum() for g in found))
            require_close(
                torch.as_tensor(analytic) / scale, numeric / scale, 1e-6, f"{_name(layer)}: gradient of the {name} map"
            )
    if not checked:
        raise NotApplicable("no exact continuous layer with parameters")


def law_gradient_straight_through(case: Case) -> None:
    """Check that straight-through gradients of layers of labels or integers reach the parameters and the data."""
    checked = False
    for layer, x, c in layers_with_data(case):
        if layer.exactness or not layer.x_space.discrete or not layer.z_space.discrete or not x.is_floating_point():
            continue
        if layer.x_space.size != layer.z_space.size or isinstance(layer, Chain):
            continue
        checked = True
        leaf = x.detach().clone().requires_grad_()
        z = layer(leaf, c)[0]
        weights = torch.linspace(-1, 2, z.numel(), dtype=z.dtype).reshape(z.shape).square()
        parameters = [p for p in layer.parameters() if p.requires_grad]
        of_x, *others = torch.autograd.grad((weights * z).sum(), [leaf, *parameters], materialize_grads=True)
        require(bool(of_x.isfinite().all() and of_x.any()), f"{_name(layer)}: no gradient with respect to x")
        reached = any(bool(g.any()) for g in others)
        require(reached or not others, f"{_name(layer)}: no gradient with respect to the parameters")
    if not checked:
        raise NotApplicable("no layer of labels or whole numbers")


@torch.no_grad()
def law_approximations(case: Case) -> None:
    """Check that an approximate layer agrees in the mean with its exact twin, closely if it is unbiased."""
    checked = False
    for layer, x, c in layers_with_data(case):
        twin = layer.exact_twin()
        if twin is None:
            continue
        twin.eval()
        require(twin.exact_twin() is None, f"{_name(layer)}: its twin has a twin")
        if isinstance(layer, Chain) and twin.exactness:
            continue  # other layers of the chain are random
        checked = True
        require(not twin.exactness, f"{_name(layer)}: its twin is {twin.exactness}")
        own, others = list(layer.parameters()), list(twin.parameters())
        require(
            own == others or {id(p) for p in own} == {id(p) for p in others}, f"{_name(layer)}: a twin's own weights"
        )
        # Some random numbers are drawn per row, and some per batch, so both are repeated.
        calls, repeats = (case.calls, max(4, 4000 // case.calls)) if Exactness.NOISY in layer.exactness else (1, 1)
        rows = x.repeat_interleave(repeats, 0), None if c is None else c.repeat_interleave(repeats, 0)
        for name, run, exact in (("forward", layer, twin), ("inverse", layer.inverse, twin.inverse)):
            z, dlogp = exact(x, c)
            found = [run(*rows) for _ in range(calls)]
            again = found[0][0]
            size = 1 + float(x.abs().max())
            require_close(again[::repeats], z, TWINS * size, f"{_name(layer)}: {name} map, and its twin's")
            means = torch.stack([dlogp.reshape(-1, repeats).mean(1) for _, dlogp in found])
            error = 4.5 * means.std(0) / calls**0.5 if calls > 1 else torch.zeros_like(dlogp)
            off = (means.mean(0) - dlogp).abs()
            biased = Exactness.LOWER in layer.exactness
            require(
                bool((off <= (TWINS if biased else 1e-6) + error).all()),
                f"{_name(layer)}: dlogp of the {name} map is off its twin's by {float(off.max()):.3g}",
            )
    if not checked:
        raise NotApplicable("no approximation with an exact twin")


def law_contraction(case: Case) -> None:
    """Check that the contraction of a layer keeps its constant for large weights, by the singular values of its Jacobian."""
    checked = False
    for layer in transforms_in(case.build()):
        if not isinstance(layer, Residual):
            continue
        bound = layer.lipschitz
        checked = True
        for p in layer.parameters():
            p.data.mul_(5.0)
        x, c = draw(layer, "x_space", ROWS, torch.float64), draw_context(layer, ROWS, torch.float64)
        for i in range(ROWS):
            cc = None if c is None else c[i : i + 1]
            jacobian = torch.autograd.functional.jacobian(lambda v: layer.net(v, cc), x[i : i + 1])  # noqa: B023
            norm = float(torch.linalg.matrix_norm(jacobian.reshape(layer.z_space.size, layer.x_space.size), 2))
            require(norm <= bound * (1 + 1e-9), f"{_name(layer)}: a singular value of {norm:.4g} > {bound:g}")
    if not checked:
        raise NotApplicable("no layer with a Lipschitz constant")


def law_opposite_contributions(case: Case) -> None:
    """Check that the two directions return opposite dlogp for the same pair (x, z)."""
    for layer, x, c in layers_with_data(case):
        if any(isinstance(m, Stochastic) for m in layer.modules()):
            continue  # random in both directions; law_total_mass and law_sandwich check it
        if layer.exact_twin() is not None:
            continue
        z, dlogp = layer(x, c)
        back, opposite = layer.inverse(z, c)
        if float(layer.x_space.difference(back, x).detach().double().abs().max()) > 1e-6:
            if layer.exactness:
                continue
            dlogp = layer(back, c)[1]  # the inverse is random: pair it with its own draw
        require_close(opposite, -dlogp, 1e-6, f"{_name(layer)}: dlogp of the two directions")


@torch.no_grad()
def law_forward_with_penalties(case: Case) -> None:
    """Check that `forward_aux` returns the z and the dlogp of `forward`, for the same random numbers."""
    for layer, x, c in layers_with_data(case):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            z, dlogp = layer(x, c)
            torch.manual_seed(4)
            again, opposite, _ = layer.forward_aux(x, c)
        require_close(again.double(), z.double(), 1e-6, f"{_name(layer)}: z of forward_aux and of forward")
        require_close(opposite, dlogp, 1e-6, f"{_name(layer)}: dlogp of forward_aux and of forward")


def law_jacobian(case: Case) -> None:
    """Check that dlogp of an exact continuous layer is log |det dz/dx| in tangent bases, by autograd."""
    checked = False
    for layer, x, c in layers_with_data(case):
        continuous = not layer.x_space.discrete and not layer.z_space.discrete
        if not layer.one_to_one or not continuous or layer.x_space.dim != layer.z_space.dim:
            continue
        checked = True
        leaf = x.detach().clone().requires_grad_()
        z, dlogp = layer(leaf, c)
        # Rows are independent, so the gradient of the sum over rows has the derivative of every row.
        slopes = [
            torch.autograd.grad(t.sum(), leaf, retain_graph=True, materialize_grads=True)[0]
            for t in z.flatten(1).unbind(1)
        ]
        jacobian = torch.stack(slopes, 1).flatten(2)
        tangent = layer.z_space.tangent(z.detach()).mT @ jacobian @ layer.x_space.tangent(x)
        expected = torch.linalg.slogdet(tangent)[1]
        require_close(dlogp, expected, 1e-6, f"{_name(layer)}: dlogp and autograd's log-determinant")
        alone = layer(x[:1], None if c is None else c[:1])[0]
        require_close(alone, z[:1], 1e-8, f"{_name(layer)}: a row alone, and in a batch")
    if not checked:
        raise NotApplicable("no exact continuous layer")


def law_surface_volume(case: Case) -> None:
    """Check that dlogp of an injective layer is the log-volume sqrt(det J^T J) of its surface, by autograd, both ways.

    The penalty must be the squared distance to the projection, in units of the layer. After a start from data with networks of
    zeros, the codes have variance one, and the projections are those of principal components.
    """
    checked = False
    for layer, x, c in layers_with_data(case):
        if not isinstance(layer, Injective):
            continue
        checked = True
        z, dlogp, penalties = layer.forward_aux(x, c)
        again, opposite = layer.inverse(z, c)
        for i in range(len(x)):
            cc = None if c is None else c[i : i + 1]
            tangent = torch.autograd.functional.jacobian(lambda v: layer.inverse(v, cc)[0][0], z[i : i + 1])[:, 0]  # noqa: B023
            volume = torch.linalg.svdvals(tangent).log().sum()
            require_close(
                opposite[i], volume, 1e-6, f"{_name(layer)}: dlogp of the inverse, and the volume by autograd"
            )
            require_close(dlogp[i], -volume, 1e-6, f"{_name(layer)}: dlogp, and minus the volume by autograd")
        distance = (again - x).square().sum(1) / layer.scale**2
        require_close(penalties["reconstruction"], distance, 1e-6, f"{_name(layer)}: the error of the reconstruction")
        fresh = copy.deepcopy(layer)
        for p in (*fresh.encode.parameters(), *fresh.decode.parameters()):
            p.data.zero_()
        rows = x[:, :1] * torch.linspace(-1, 1, x.shape[1], dtype=x.dtype) + draw(layer, "x_space", ROWS, x.dtype)
        fresh.init_from(rows)
        codes, _, penalties = fresh.forward_aux(rows, c)
        latent = codes.shape[1]
        eye = torch.eye(latent, dtype=x.dtype)
        require_close(codes.mT.cov().reshape(latent, latent), eye, 1e-6, f"{_name(layer)}: covariance after the start")
        left = torch.linalg.svdvals(rows - rows.mean(0))[latent:].square().sum() / (rows - rows.mean(0)).square().mean()
        require_close(penalties["reconstruction"].sum(), left, 1e-6, f"{_name(layer)}: error after the start")
    if not checked:
        raise NotApplicable("no injective layer")


def law_seam(case: Case) -> None:
    """Check that nothing jumps where an angle passes a full turn: the image and dlogp agree on both sides, both ways."""
    checked = False
    for layer, x, c in layers_with_data(case):
        for name, run, space, image in (
            ("forward", layer, layer.x_space, layer.z_space),
            ("inverse", layer.inverse, layer.z_space, layer.x_space),
        ):
            if layer.exactness or not any(space.angles):
                continue
            checked = True
            v = x if name == "forward" else layer(x, c)[0]
            angles = torch.tensor(space.angles).reshape(space.shape)
            # One angle at a time, so that a jump as a function of one cannot hide behind that of another.
            for i in angles.flatten().nonzero().flatten().tolist():
                one = torch.zeros(space.size, dtype=torch.bool)
                one[i] = True
                here, there = (torch.where(one.reshape(space.shape), side, v) for side in (SEAM, TURN - SEAM))
                (above, dlogp), (below, other) = run(here, c), run(there, c)
                where = f"{_name(layer)}: {name} map of angle {i} on both sides of a full turn"
                _require_same(image, above, below, 1e-5, where)
                require_close(dlogp, other, 1e-5, f"{where}, dlogp")
    if not checked:
        raise NotApplicable("no exact layer of angles")
