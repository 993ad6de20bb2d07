"""Cases of single layers, single distributions, and small models."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .. import distributions as d
from .. import transforms as t
from ..core import (
    Box,
    Categories,
    Chain,
    Circle,
    Flow,
    Identity,
    Integers,
    Inverse,
    Node,
    OneHot,
    Product,
    Real,
    Simplex,
    Sphere,
    Torus,
    Transform,
)
from ..functional.kernel_copula import with_uniform_margins
from ..functional.ode import Fixed
from ..functional.pair_copulas import NAMES
from ..functional.vine_fit import Pair, VinePart
from ..networks import (
    MLP,
    AutoregressiveTable,
    CausalTransformer,
    ConvNet,
    GraphMLP,
    LabelMLP,
    LipschitzConvNet,
    LipschitzDenseNet,
    LipschitzMLP,
    MaskedMLP,
    MaskEnsemble,
    Potential,
    Recorded,
    Velocity,
    VelocityMLP,
)
from ..tables import Column, Schema, table_model
from ..tables.curved_layers import CurveColumns
from ..tables.table_coding import TableCoding
from .cases import Case, system_cases


def varied(make: Callable[[], Node], **options: Any) -> Case:
    """Return a case with other options than the defaults; `layer_cases` sets its name."""
    return Case("", make, **options)


def pixels(factor: d.Factor, channels: int) -> d.AutoregressiveModel:
    """Return a causal transformer over the entries of small pictures."""
    space = Integers((channels, 1, 2) if channels > 1 else (1, 2, 2), 0, 2)
    length = space.size // (channels if factor.entry else 1)
    net = CausalTransformer(factor.width, factor.n, length=length, hidden=4, blocks=1, heads=2)
    return d.AutoregressiveModel(space, factor, net)


class Field(Velocity):
    """Velocity on pictures, without derivatives of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, 1, (3, 1), padding=(1, 0))

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return v in the shape of x, for t () and x (B, 1, 2, 1)."""
        return torch.tanh(self.mix(x) + t)


class Wells(nn.Module):
    """Log-density, up to a constant, with two modes along the first coordinate."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the log-density: (B, D) -> (B,)."""
        return 1.5 * torch.logaddexp(x[:, 0], -x[:, 0]) - x.square().sum(1) / 2


class Existing(Recorded, nn.Module):
    """Context of two types of knowledge that exist, from their attributes."""

    def forward(self, attributes: Tensor) -> Tensor:
        """Return ones before the attributes: (B, C) -> (B, 2 + C)."""
        return torch.cat([torch.ones_like(attributes[:, :2]), attributes], 1)


class Triangular(nn.Module):
    """Autoregressive conditioner that is not a MaskedMLP: linear in tanh of the earlier inputs."""

    def __init__(self, features: int, n: int) -> None:
        super().__init__()
        self.mask: Tensor
        self.weight = nn.Parameter(0.5 * torch.randn(features, n, features))
        self.register_buffer("mask", torch.ones(features, features).tril(-1)[:, None, :], persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the parameters: (B, D) -> (B, D, n)."""
        weight = (self.weight * self.mask).flatten(0, 1)
        return (torch.tanh(x) @ weight.mT).unflatten(-1, self.weight.shape[:2])


def layer_cases() -> list[Case]:
    """Return cases of every layer, scalar map, structure and base, and of one model of each kind that is not a bijection."""
    r1, r2, r3, unit = Real((1,)), Real((2,)), Real((3,)), Box((2,), 0.0, 1.0)
    picture = Real((3, 2, 2))
    net = partial(MLP, hidden=(8,), activation="tanh")
    convolutions = partial(ConvNet, hidden=6)
    labels = partial(LabelMLP, classes=5, hidden=(8,))
    bounded = t.RationalQuadratic(4, low=0.0, high=1.0)
    product = Product(Circle(), r1, Box((1,), -1.0, 1.0))
    kinds = t.PerCoordinate((t.CircularSpline(3), t.RationalQuadratic(3), t.RationalQuadratic(3, low=-1.0, high=1.0)))
    # A label, whole numbers with a spike, and numbers with a spike: every kind of entry of an any-order model.
    table = TableCoding(
        (
            Column(name="label", kind="categorical", categories=("a", "b", "c")),
            Column(name="count", kind="integer", low=0.0, high=5.0, spikes=(2.0,)),
            Column(name="number", kind="continuous", loc=1.0, scale=2.0, spikes=(0.0,)),
        )
    )

    places = (
        Column(name="at", kind="continuous", low=1.0, high=25.0, edge=0.1, axis="angle"),
        Column(name="lat", kind="continuous", low=-90.0, high=90.0, edge=0.1, axis="height", partner="lon"),
        Column(name="lon", kind="continuous", low=-180.0, high=180.0, edge=0.1, axis="angle", partner="lat"),
    )

    # A table whose label and number y are observed.
    measured = (
        Column(name="label", kind="categorical", categories=("a", "b")),
        Column(name="x", kind="continuous", loc=1.0, scale=2.0),
        Column(name="y", kind="continuous", loc=0.0, scale=1.0),
    )

    def autoregressive(scalar: t.Scalar, **options: object) -> t.Autoregressive:
        return t.Autoregressive(scalar, r3, MaskedMLP(3, scalar.n, hidden=(8,), activation="tanh", **options))  # type: ignore[arg-type]

    def integer_flow() -> Flow:
        space = Integers((2,))
        layers = [t.Coupling(t.RoundedShift(), space, t.half_mask(2, flip=f), net) for f in (False, True)]
        return Flow(Chain(*layers), d.DiscretisedLogistic((2,)))

    def vae() -> Flow:
        encoder = d.ConditionalNormal(r2, 3, hidden=(8,), bound=1.0)
        return Flow(t.Stochastic(encoder, d.ConditionalBernoulli((3,), 2, hidden=(8,))), d.Normal(r2))

    def dequantised() -> Flow:
        space = Integers((2,), -1, 2)
        return Flow(
            Chain(t.Dequantise(space), t.Logit(unit), t.Coupling(t.Affine(), r2, [True, False], net)), d.Normal(r2)
        )

    def dequantised_labels() -> Flow:
        warp = t.Elementwise(bounded, unit)
        nn.init.normal_(warp.free, std=1.0)  # far from uniform, so errors in its density are visible
        noise = Flow(Chain(warp), d.Uniform(unit))
        return Flow(Chain(t.Dequantise(Categories((2,), 3), noise), t.Elementwise(bounded, unit)), d.Uniform(unit))

    def labels_of_the_largest() -> Flow:
        front, line = t.ToOneHot(Categories((2,), (1, 3))), Real((4,))
        noise = d.ConditionalNormal(line, 6, hidden=(4,), bound=0.5)
        return Flow(Chain(front, t.ArgMax(front.codes, noise)), d.Normal(line))

    def half_lines() -> Flow:
        space, half = Integers((2,), 0, 1), Box((2,), 0.0, float("inf"))
        noise = Flow(Chain(t.Probit(half), t.Elementwise(t.Affine(), r2, context=3, hidden=(8,))), d.Normal(r2))
        return Flow(
            Chain(t.HalfLines(space, noise, context=1), t.Coupling(t.Affine(), r2, [True, False], net)), d.Normal(r2)
        )

    def multiscale() -> Flow:
        rest = Flow(t.Elementwise(t.Affine(), r1, context=2, hidden=(8,)), d.Normal(r1))
        return Flow(Chain(t.Slice(r3, 2, rest), t.LU(r2)), d.Normal(r2))

    def factored() -> Flow:
        space, kept = Real((2, 2, 1)), Real((1, 2, 1))
        prior = t.Elementwise(t.Affine(), kept, context=Real((3, 2, 1)), network=partial(ConvNet, hidden=4))
        return Flow(
            Chain(
                t.Slice(space, 1, Flow(prior, d.Normal(kept)), context=2), t.Elementwise(t.Affine(), kept, context=2)
            ),
            d.Normal(kept),
        )

    def wired() -> t.Wired:
        graph = t.LayerGraph(r3, context=2)
        assert graph.context is not None  # noqa: S101
        a, b = graph.split(graph.input, (1, 2))
        b = graph.layer(t.LU(r2), b)
        code = graph.compute(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), b, shape=(2,))
        a = graph.layer(t.Elementwise(t.Affine(), r1, context=4, hidden=(8,)), a, given=(code, graph.context))
        b = graph.layer(t.Elementwise(t.Affine(), r2, context=1, hidden=(8,)), b, given=a)
        return graph.build(graph.concatenate(b, a))

    def frames(space: Real, memory: int, context: Real | int = 0) -> Flow:
        return Flow(t.Innovations(space, memory, context=context, hidden=3, blocks=1), d.Normal(space))

    def tokens(length: int, block: int) -> t.Autoregressive:
        network = CausalTransformer(2, 4, length=length, hidden=4, blocks=2, heads=2, context=2)
        return t.Autoregressive(t.Affine(), Real((length, 2)), network, context=2, block=block)

    def nested() -> Flow:
        inner = Flow(t.Elementwise(t.RationalQuadratic(3), r2), d.StudentT(r2))
        return Flow(Chain(t.Coupling(t.Affine(), r2, t.half_mask(2), net)), inner)

    def embedded() -> Flow:
        coupling = t.Coupling(t.Affine(), r2, t.half_mask(2), net, context=4)
        return Flow(coupling, d.Normal(r2), embed=nn.Sequential(nn.Linear(3, 4), nn.Tanh()), context=r3)

    def aligned(coefficient: float = 0.9) -> LipschitzMLP:
        net = LipschitzMLP(2, hidden=(2,), coefficient=coefficient)
        for layer in net.layers:
            nn.init.ones_(layer.inner.weight)  # then powers of its Jacobian do not vanish
        return net

    def continuous(layer: str = "squash", *, context: int = 0, **options: object) -> t.Continuous:
        velocity = VelocityMLP(2, hidden=(8,), context=context, layer=layer)  # type: ignore[arg-type]
        return t.Continuous(velocity, r2, context=context, **options)  # type: ignore[arg-type]

    def concentrated(n: int) -> d.VonMisesFisher:
        model = d.VonMisesFisher(Sphere((n,)))
        nn.init.constant_(model.free, 1.5)
        return model

    def walk(*layers: Transform) -> Flow:
        return Flow(Chain(*layers), d.Normal(r2))

    def annealed() -> Flow:
        start, gaps = d.Normal(r2)._log_prob, t.Schedule(2)
        rungs = [t.Annealed(start, Wells(), t.Temperature(gaps, i)) for i in (1, 0)]
        return walk(*(layer for rung in rungs for layer in t.hamiltonian(rung, r2, step=0.5).layers))

    def underdamped() -> Flow:
        normal, both = d.Normal(r2), Real((4,))
        moves = [t.Leapfrog(Wells(), r2, steps=2, step=0.4), t.Tempering(r2, 0.8), t.Refresh(r2)]
        return walk(t.Augment(r2, normal), *moves, t.Slice(both, 2, normal))

    in_float64 = {"dtype": "rows of tables and their log-densities are float64 for every dtype of the model"}

    def folded() -> Flow:
        fold = t.WinnerFold(Real((5,)), 2, net, context=2)
        return Flow(Chain(fold, t.LU(Real((5,)))), d.Normal(Real((5,))))

    def mirrored(*, inverse: bool = False) -> Flow:
        half = Box((2,), 0.0, float("inf"))
        if inverse:  # a half-normal, drawn with random signs
            return Flow(Chain(Inverse(t.AbsoluteValue(r2, net)), t.Elementwise(t.Affine(), r2)), d.Normal(r2))
        return Flow(Chain(t.AbsoluteValue(r2, net, context=2), t.Log(half)), d.Normal(r2))

    def sorted_entries() -> Flow:
        return Flow(Chain(t.Sort(r2, gaps="softplus"), t.Coupling(t.Affine(), r2, [True, False], net)), d.Normal(r2))

    def shuffled() -> Flow:
        # The model shuffles the smallest entry and the gaps, and learns the density of what it draws.
        return Flow(Chain(Inverse(t.Sort(r2, gaps="softplus")), t.Elementwise(t.Affine(), r2)), d.Normal(r2))

    def rounded(*, inverse: bool = False) -> Flow:
        if inverse:
            return Flow(Chain(Inverse(t.Rounding(r2)), t.Coupling(t.Affine(), r2, [True, False], net)), d.Normal(r2))
        one = Box(
            (1,), 0.0, 1.0
        )  # the density jumps at whole numbers, and a quadrature of the plane would need more points
        fractions = Flow(t.Elementwise(bounded, one, context=1, hidden=(8,)), d.Uniform(one))
        return Flow(t.Rounding(r1, fractions), d.DiscretisedLogistic((1,)))

    def largest() -> Flow:
        rest = d.ConditionalNormal(r2, 1, hidden=(8,), bound=1.0)
        return Flow(t.maximum(r3, rest=rest, network=net), d.Normal(r1))

    def pooled() -> Flow:
        space = Real((2, 2, 2))
        pool = t.max_pool(space, 2, network=partial(ConvNet, hidden=4), context=2)
        left = pool.z_space
        return Flow(Chain(pool, t.Elementwise(t.Affine(), left, context=2)), d.Normal(Real(left.shape)))

    def competing() -> Flow:
        layers = [
            t.WinnerCoupling(r2, [keep, not keep], 3, net, net if keep else None, spread=1.0) for keep in (False, True)
        ]
        return Flow(Chain(*layers), d.Normal(r2))

    def competing_pictures() -> t.WinnerCoupling:
        return t.WinnerCoupling(
            Real((2, 2, 3)), t.checkerboard_mask(2, 3), 2, convolutions, convolutions, block=2, context=2
        )

    def indexed() -> Flow:
        u = Real((1,))
        prior, posterior = (d.ConditionalNormal(u, 4, hidden=(8,), bound=1.0) for _ in range(2))
        coupling = t.Coupling(t.Affine(), r2, [True, False], net, context=2)
        return Flow(t.ContinuousIndex(coupling, prior, posterior, MLP(1, 4, hidden=(8,)), context=2), d.Normal(r2))

    def gated() -> Flow:
        both = Real((4,))
        gates = [t.WinnerGate(2, [keep, not keep], 2, net, spread=1.0) for keep in (False, True)]
        return Flow(Chain(t.Augment(r2, d.Normal(r2)), *gates, t.Slice(both, 2, d.Normal(r2))), d.Normal(r2))

    def vine(space: Box | Real, families: tuple[str, ...], rotations: tuple[int, ...]) -> d.VineCopula:
        """Return a vine of two or three variables, in an order that is not that of the columns."""
        model = d.VineCopula(space)
        pairs = [Pair(NAMES.index(name), turn) for name, turn in zip(families, rotations, strict=True)]
        parts = [VinePart(1, (), ()), VinePart(0, (1,), (pairs[0],)), VinePart(2, (0, 1), tuple(pairs[1:]))]
        model.set_parts(parts[: space.size])
        generator = torch.Generator().manual_seed(0)
        model.grids.copy_(with_uniform_margins(0.5 + torch.rand(model.grids.shape[-2:], generator=generator).double()))
        # Clayton and Frank copulas start near independence, where their density has no singular corner.
        nn.init.constant_(model.free, -2.5)
        return model

    straight = {"gradient_of_parameters": "the gradient of an argmax is estimated straight through"}
    without_export = {"export": "torch.export cannot differentiate a target density"}
    makers: dict[str, Callable[[], Node] | Case] = {
        "leapfrog": varied(lambda: t.Leapfrog(Wells(), r2, steps=3, step=0.2), constant=True),
        "tempering": varied(lambda: t.Tempering(r2, 0.7), constant=True),
        "annealed-langevin": varied(annealed, exempt=without_export),
        "underdamped": varied(underdamped, exempt=without_export),
        "refresh": lambda: Flow(Chain(t.Refresh(r1), t.Elementwise(t.Affine(), r2)), d.Normal(r2)),
        "metropolis": varied(lambda: walk(t.Metropolis(Wells(), r2, steps=2, step=1.3)), exempt=without_export),
        "additive": varied(lambda: autoregressive(t.Additive()), constant=True),
        "affine": varied(lambda: t.Elementwise(t.Affine(), r2), constant=True),
        "gated-affine": varied(lambda: t.Elementwise(t.GatedAffine(), r2), constant=True),
        "sigmoidal": varied(lambda: t.Elementwise(t.Sigmoidal(), r2), constant=True),
        "sigmoidal-jet": varied(lambda: t.Elementwise(t.Sigmoidal(gain=2.0, shift=0.0), r2), constant=True),
        "composed": lambda: t.Elementwise(t.Composed(t.LogisticMixture(3), t.Affine()), r2),
        "spline": lambda: t.Elementwise(t.RationalQuadratic(5, 4.0), r2),
        "saturating-spline": lambda: t.Elementwise(t.SaturatingSpline(4, 3.0), r2),
        "scale-softplus": lambda: t.Coupling(t.ScaleRule("softplus"), r3, [True, False, True], net),
        "scale-sigmoid": lambda: t.Coupling(t.ScaleRule("sigmoid"), r3, [True, False, True], net),
        "scale-saturating": lambda: t.Coupling(t.ScaleRule("saturating"), r3, [True, False, True], net),
        "autoregressive-degrees": lambda: t.Autoregressive(
            t.Affine(),
            r3,
            MaskedMLP(
                3,
                2,
                hidden=(4, 4, 4),
                residual=True,
                activation="tanh",
                last_activation=False,
                degrees=((0, 0, 1, 1),) * 3,
            ),
        ),
        "extended-logit": lambda: t.Elementwise(t.Composed(t.Affine(), t.ExtendedLogit(0.05)), r2),
        "spline-on-a-box": lambda: t.Elementwise(bounded, unit),
        "logistic-mixture": lambda: t.Elementwise(t.LogisticMixture(4), r2),
        "logistic-mixture-apart": varied(lambda: t.Elementwise(t.LogisticMixture(4), r2), spread=8.0),
        "logistic-mixture-coupling": lambda: t.Coupling(t.LogisticMixture(3), r3, [True, False, False], net),
        "elementwise-context": lambda: t.Elementwise(t.Affine(), r2, context=2, hidden=(8,)),
        "coupling-alternating": lambda: t.Coupling(t.Affine(), r3, t.alternating_mask(3), net, context=2),
        "coupling-random": lambda: t.Coupling(t.RationalQuadratic(3), Real((5,)), t.random_mask(5, 0), net),
        "two-way-coupling": lambda: t.two_way(r3, net, clamp=1.5, context=2),
        "observed-output": lambda: t.ObservedOutput(
            r2, t.two_way(r3, net), observed=2, latent=1, noise=0.6, padding=0.5
        ),
        "autoregressive-affine": lambda: autoregressive(t.Affine(), order=(1, 2, 0)),
        "autoregressive-residual": lambda: t.Autoregressive(
            t.Affine(), Real((11,)), MaskedMLP(11, 2, hidden=(24, 24, 24), residual=True, context=2), context=2
        ),
        "autoregressive-graph": lambda: t.Autoregressive(
            t.Affine(), r3, GraphMLP(((2,), (), ()), 2, hidden=(4,), activation="tanh", context=2), context=2
        ),
        "wired": wired,
        "autoregressive-jacobi": lambda: t.Autoregressive(t.Affine(), r3, Triangular(3, 2)),
        "continuous": lambda: continuous(solver=Fixed(8), learned=True),
        "continuous-estimated": lambda: continuous(
            "concat", solver=Fixed(8, "dopri5", exact=True), trace="estimated", duration=0.5
        ),
        "continuous-gaussian-probes": lambda: continuous(
            "hyper", context=2, solver=Fixed(12, "midpoint"), trace="estimated", probes=3, noise="gaussian"
        ),
        "continuous-own-network": lambda: t.Continuous(Field(), Real((1, 2, 1)), solver=Fixed(6, "dopri5")),
        "potential": lambda: t.Continuous(Potential(2, 6, layers=3, context=2), r2, solver=Fixed(8), context=2),
        "residual-convolutions": lambda: t.Residual(
            LipschitzConvNet((1, 2, 3), hidden=(3,), coefficient=0.6, context=2),
            Real((1, 2, 3)),
            lipschitz=0.6,
            context=2,
        ),
        "residual-dense": lambda: t.Residual(
            LipschitzDenseNet((2,), hidden=(4, 3), coefficient=0.8, context=2),
            r2,
            lipschitz=0.8,
            logdet="exact",
            context=2,
        ),
        "residual-dense-pictures": lambda: t.Residual(
            LipschitzDenseNet((1, 2, 2), hidden=(2,), coefficient=0.6), Real((1, 2, 2)), lipschitz=0.6, logdet="exact"
        ),
        "monotone-operator-roulette": varied(
            lambda: t.MonotoneOperator(aligned(0.4), r2, lipschitz=0.4, logdet="roulette", scoring_terms=2)
        ),
        "monotone-operator-pictures": lambda: t.MonotoneOperator(
            LipschitzConvNet((1, 2, 2), hidden=(3,), coefficient=0.4, context=2),
            Real((1, 2, 2)),
            lipschitz=0.4,
            context=2,
        ),
        "residual-through-all-terms": varied(
            lambda: t.Residual(
                aligned(),
                r2,
                lipschitz=0.9,
                logdet="roulette",
                scoring_terms=1,
                economical=False,
            ),
            calls=1500,
        ),
        "planar": lambda: t.Planar(r3),
        "planar-steep": varied(lambda: t.Planar(r3), spread=4.0),
        "planar-context": lambda: t.Planar(r2, context=2, hidden=(6,)),
        "cylinder": varied(lambda: t.Cylinder(Sphere((3,))), constant=True),
        "cylinder-5": lambda: t.Cylinder(Sphere((5,))),
        "exponential-map-polynomial": lambda: t.ExponentialMap(Sphere((3,)), t.QuadraticPotential(3)),
        "exponential-map-radial": lambda: t.ExponentialMap(
            Sphere((4,)), t.RadialPotential(4, 3, context=2, hidden=(6,))
        ),
        "correlation": varied(lambda: t.Correlation(r3, context=2), constant=True),
        "normal-score-step": lambda: t.Gaussianize(r2, 3, step=0.4),
        "logistic-score": lambda: t.Elementwise(t.Composed(t.Affine(), t.LogisticScore()), r2),
        "cholesky": varied(lambda: t.Cholesky(r3, context=2), constant=True),
        "radial": lambda: t.Radial(r3),
        "radial-context": lambda: t.Radial(r2, context=2),
        "sylvester": lambda: t.Sylvester(Real((4,)), width=2),
        "sylvester-householder": lambda: t.Sylvester(r2, directions="householder", reflections=2, context=2),
        "sylvester-triangular": lambda: t.Sylvester(r3, directions="triangular", flip=True),
        "volume-preserving": varied(
            lambda: t.VolumePreservingCoupling(Real((5,)), t.half_mask(5), net, context=2), constant=True
        ),
        "volume-preserving-pictures": varied(
            lambda: t.VolumePreservingCoupling(picture, [True, False, True], convolutions), constant=True
        ),
        "all-in-one": lambda: t.all_in_one(r3, net, clamp=1.5, context=2),
        "all-in-one-permuted": varied(
            lambda: t.all_in_one(Real((4,)), net, volume_preserving=True, mixing="permutation"), constant=True
        ),
        "qr": varied(lambda: t.QR(r3), constant=True),
        "qr-channels": varied(lambda: t.QR(picture, reflections=3), constant=True),
        "svd": varied(lambda: t.SVD(r3), constant=True),
        "svd-channels": varied(lambda: t.SVD(picture, rotation=True), constant=True),
        "woodbury": varied(lambda: t.Woodbury(Real((4,)), rank=2), constant=True),
        "woodbury-positions": varied(lambda: t.Woodbury(picture, rank=2, positions_rank=1), constant=True, spread=0.3),
        "block-autoregressive": lambda: t.BlockAutoregressive(r3, hidden=(4, 3), context=2),
        "emerging-convolution": varied(lambda: t.EmergingConv(Real((2, 3, 4))), constant=True, spread=0.3),
        "periodic-convolution": varied(lambda: t.PeriodicConv(Real((2, 3, 4))), constant=True, spread=0.2),
        "exponential-convolution": varied(lambda: t.ExponentialConv(Real((2, 3, 4))), constant=True),
        "permutation": varied(lambda: t.Permutation(r3, (2, 0, 1)), constant=True),
        "diagonal": varied(lambda: t.Diagonal(r2), constant=True),
        "lu": varied(lambda: t.LU(r3), constant=True),
        "lu-channels": lambda: t.LU(picture),
        "coupling-channels": lambda: t.Coupling(t.Affine(), picture, [True, False, True], convolutions),
        "linear": varied(lambda: t.Linear(r3), constant=True),
        "linear-channels": varied(lambda: t.Linear(picture), constant=True),
        "lu-rotation": varied(lambda: t.LU(Real((5, 1, 2)), rotation=True), constant=True),
        "orthogonal-channels": varied(lambda: t.Orthogonal(picture, rotation=True), constant=True),
        "haar": varied(lambda: t.Haar(Real((2, 4, 2))), constant=True),
        "channels-first": varied(lambda: t.ChannelsFirst(Real((3, 2, 1, 2))), constant=True),
        "each-frame": lambda: t.EachFrame(
            Chain(t.Squeeze(Real((1, 2, 2))), t.Coupling(t.Affine(), Real((4, 1, 1)), t.half_mask(4), convolutions)), 2
        ),
        "innovations": lambda: frames(Real((1, 2, 1, 1)), 1),
        "innovations-of-two-frames-before": varied(lambda: frames(Real((1, 4, 2, 1)), 2), spread=0.2),
        "innovations-given-pictures": varied(lambda: frames(Real((1, 3, 1, 2)), 2, Real((2, 3, 1, 2))), spread=0.2),
        "innovations-without-memory": lambda: frames(Real((1, 2, 1, 1)), 0, Real((1, 2, 1, 1))),
        "squeeze": varied(lambda: t.Squeeze(Real((2, 6, 3)), 3), constant=True),
        "checkerboard": varied(lambda: t.Checkerboard(Real((2, 3, 4))), constant=True),
        "tokens": varied(lambda: t.Tokens(picture), constant=True),
        "coupling-checkerboard": lambda: t.Coupling(
            t.Affine(), Real((2, 3, 4)), t.checkerboard_mask(3, 4), convolutions, context=2
        ),
        "coupling-given-a-picture": lambda: t.Coupling(
            t.RationalQuadratic(3), picture, t.half_mask(3), convolutions, context=Real((2, 4, 4))
        ),
        "autoregressive-tokens": lambda: tokens(3, block=1),
        "autoregressive-token-blocks": lambda: tokens(4, block=2),
        "orthogonal": varied(lambda: t.Orthogonal(r3), constant=True),
        "orthogonal-sphere": varied(lambda: t.Orthogonal(Sphere((4,)), rotation=True), constant=True),
        "actnorm": varied(lambda: t.ActNorm(r2), constant=True),
        "actnorm-channels": lambda: t.ActNorm(picture, channels=True),
        "batch-norm": varied(lambda: t.BatchNorm(r2), constant=True),
        "batch-norm-channels": varied(lambda: t.BatchNorm(picture, channels=True), constant=True),
        "standardise": varied(
            lambda: t.Standardise(r2, torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])), constant=True
        ),
        "standardise-measured": varied(lambda: t.Standardise(r2), constant=True),
        "logit": lambda: t.Logit(Box((2,), -1.0, 3.0)),
        "logit-constant": lambda: t.Logit(Box((2,), -1.0, 3.0), 0.1),
        "logit-constant-one-sided": lambda: t.Logit(unit, 0.05, symmetric=False),
        "centre": varied(lambda: t.Centre(Box((2,), -1.0, 3.0)), constant=True),
        "logit-above": lambda: t.Logit(Box((2,), 1.0, float("inf"))),
        "logit-below": lambda: t.Logit(Box((2,), float("-inf"), 1.0)),
        "log": lambda: t.Log(Box((2,), 1.0, float("inf"))),
        "log-below": lambda: t.Log(Box((2,), float("-inf"), 1.0)),
        "probit": lambda: t.Probit(Box((2,), 1.0, float("inf"))),
        "log-ratio": lambda: t.LogRatio(Simplex((2, 3))),
        "reshape": varied(lambda: t.Reshape(Real((2, 3)), (6,)), constant=True),
        "inverse": varied(lambda: Inverse(t.Elementwise(t.Affine(), r2)), constant=True),
        "rounded-shift": integer_flow,
        "argmax-surjection": varied(labels_of_the_largest, spread=0.15),
        "dequantise": dequantised,
        "dequantise-by-a-flow": dequantised_labels,
        "half-lines": varied(half_lines, spread=0.3),
        "half-lines-half-normal": lambda: Flow(
            Chain(t.HalfLines(Integers((2,), 0, 1)), t.Coupling(t.Affine(), r2, [True, False], net)), d.Normal(r2)
        ),
        "slice": multiscale,
        "slice-given-a-label": factored,
        "fold": folded,
        "absolute-value": mirrored,
        "absolute-value-inverse": varied(partial(mirrored, inverse=True)),
        "sort": sorted_entries,
        "sort-inverse": shuffled,
        "rounding": rounded,
        "rounding-inverse": partial(rounded, inverse=True),
        "maximum": largest,
        "max-pool": pooled,
        "zigzag": lambda: Flow(t.Zigzag(r2, 3, net), d.Normal(r2)),
        "zigzag-five-pieces": lambda: Flow(
            Chain(t.Zigzag(r1, 5, net, context=2), t.Elementwise(t.Affine(), r1, context=2)), d.Normal(r1)
        ),
        "competing-coupling": varied(competing, spread=0.3),
        "competing-coupling-of-pictures": competing_pictures,
        "winner-kernel": lambda: d.WinnerKernel(r2, 3, 3, activation="tanh"),
        "winner-kernel-zeroed": lambda: d.WinnerKernel(r2, 2, 2, block=2, zeroed=True, hidden=(8,)),
        "winner-gate": varied(gated, spread=0.3, exempt=straight),
        "continuous-index": varied(indexed, spread=0.8),
        "knowledge": varied(
            lambda: Flow(
                Identity(r2),
                d.Knowledge(r2, ("odd", "small"), attributes=1, components=2, hidden=(8,)),
                embed=Existing(),
                context=Real((2,)),
            ),
            exempt={"gradients": "the encoders belong to p(k | x) and the rates to p(k), not to p(x | k)"},
        ),
        "vae": vae,
        "flow-in-a-flow": nested,
        "embedded-context": embedded,
        "normal": lambda: d.Normal(r2),
        "logistic": lambda: d.Logistic(r2),
        "logit-beta": lambda: d.LogitBeta(r2, 1.5, 0.8),
        "student-t": lambda: d.StudentT(r2, 4.0),
        "uniform": varied(lambda: d.Uniform(Box((2,), -1.0, 2.0)), constant=True),
        "uniform-circle": varied(lambda: d.UniformTorus(Circle()), constant=True),
        "uniform-torus": varied(lambda: d.UniformTorus(Torus((2,))), constant=True),
        "uniform-sphere": varied(lambda: d.UniformSphere(Sphere((3,))), constant=True),
        "von-mises-fisher-circle": lambda: concentrated(2),
        "von-mises-fisher": lambda: d.VonMisesFisher(Sphere((3,))),
        "von-mises-fisher-4": lambda: concentrated(4),
        "von-mises-fisher-mixture": varied(lambda: d.VonMisesFisherMixture(Sphere((3,)), 3), spread=4.0),
        "von-mises": lambda: d.VonMises(Torus((2,))),
        "deep-sigmoidal": lambda: t.Elementwise(t.DeepSigmoidal(3, 2), r2),
        "deep-sigmoidal-dense": varied(lambda: t.Elementwise(t.DeepSigmoidal(3, 3, dense=True), r2), spread=3.0),
        "integrated-network": varied(
            lambda: t.Elementwise(t.IntegratedNetwork(3.0, 4, layers=2, nodes=64), r2), spread=2.0
        ),
        "sum-of-squares": varied(lambda: t.Elementwise(t.SumOfSquares(3.0, 2, 3), r2), spread=2.0),
        "bernstein-polynomial": varied(lambda: t.Elementwise(t.Bernstein(3.0, 6), r2), spread=2.0),
        **{
            f"{kind}-spline": varied(partial(t.Elementwise, t.PiecewiseSpline(kind, 4, 4.0), r2), spread=2.0)
            for kind in ("linear", "quadratic", "cubic", "linear-rational")
        },
        **{
            f"{kind}-line": varied(partial(t.Elementwise, t.BentLine(kind), r2), spread=1.0)
            for kind in ("cubic-rational", "sinh", "sinh-arcsinh", "johnson-su", "yeo-johnson", "leaky")
        },
        "circular-spline": lambda: t.Elementwise(t.CircularSpline(4), Torus((2,))),
        "circular-spline-cut": lambda: t.Elementwise(t.CircularSpline(5, phase=False), Circle()),
        "moebius": lambda: t.Elementwise(t.MoebiusMixture(3), Torus((2,))),
        "moebius-cut": lambda: t.Elementwise(t.MoebiusMixture(3, phase=False), Circle()),
        "moebius-steep": varied(lambda: t.Elementwise(t.MoebiusMixture(2), Circle()), spread=4.0),
        "projection": lambda: t.Elementwise(t.Projection(3), Torus((2,))),
        "projection-alone": lambda: t.Elementwise(t.Projection(1), Circle()),
        "coupling-of-angles": lambda: t.Coupling(
            t.CircularSpline(3), Torus((3,)), t.alternating_mask(3), net, context=2
        ),
        "autoregressive-angles": lambda: t.Autoregressive(
            t.MoebiusMixture(2), Torus((2,)), MaskedMLP(2, 7, width=2, hidden=(8,), activation="tanh", order=(1, 0))
        ),
        "coupling-of-kinds": lambda: t.Coupling(
            t.PerCoordinate((kinds.maps[0], kinds.maps[1], kinds.maps[1], kinds.maps[0], kinds.maps[2])),
            Product(Circle(), r2, Circle(), Box((1,), -1.0, 1.0)),
            [False, False, False, False, True],
            net,
        ),
        "coupling-of-kinds-turned": lambda: t.Coupling(kinds, product, [True, False, True], net),
        "autoregressive-kinds": lambda: t.Autoregressive(
            kinds, product, MaskedMLP(3, kinds.n, width=2, hidden=(8,), activation="tanh", context=2), context=2
        ),
        "curved-columns": varied(lambda: CurveColumns(places), exempt=in_float64),
        "table-of-places": varied(
            lambda: table_model(Schema(places[1:]), "mixed", layers=1, hidden=(8,), bins=3),
            exempt=in_float64,
        ),
        "observed-columns": varied(
            lambda: table_model(
                Schema(measured), "inn", columns=("label", "y"), layers=1, hidden=(8,), design="conditional"
            ),
            exempt=in_float64,
        ),
        "side-by-side": lambda: d.SideBySide(d.StudentT(r1, 4.0), d.UniformTorus(Circle())),
        "resampled-normal": varied(lambda: d.ResampledNormal(r2, (8,), truncation=3), spread=5.0),
        "mixture-of-two": varied(lambda: d.MixtureOf(d.StudentT(r2, 5.0), d.GaussianMixture(r2, 2)), spread=2.0),
        "class-gaussians": lambda: d.ClassGaussians(r2, 3, distance=3.0),
        "gaussian-mixture": lambda: d.GaussianMixture(r2, 3),
        "conditional-normal": lambda: d.ConditionalNormal(r2, 3, hidden=(8,)),
        "conditional-bernoulli": lambda: d.ConditionalBernoulli((2,), 3, hidden=(8,)),
        "conditional-levels": lambda: d.ConditionalCategorical((2,), 3, levels=4, hidden=(8,)),
        "conditional-logistic": lambda: d.ConditionalLogistic((2,), 3, levels=5, hidden=(8,)),
        "discretised-logistic": lambda: d.DiscretisedLogistic((2,)),
        "discretised-logistic-mixture": lambda: d.DiscretisedLogistic((2,), components=3, unit=2.0),
        "discretised-logistic-given": lambda: d.DiscretisedLogistic((2,), components=2, context=3, network=nn.Linear),
        "categorical-one-hot": lambda: d.Categorical(OneHot((2, 3), (3, 2))),
        "autoregressive-one-hot": lambda: d.AutoregressiveCategorical(OneHot((2, 3), 3), hidden=(8,), order=(1, 0)),
        "modular-coupling": varied(
            lambda: t.Coupling(
                t.Modular((4, 2, 5), scale=True), OneHot((3, 5), (4, 2, 5)), [True, False, False], labels
            ),
            constant=True,
        ),
        "modular-autoregressive": varied(
            lambda: t.Autoregressive(
                t.Modular(6, scale=True), OneHot((3, 6), 6), MaskedMLP(3, 12, width=6, hidden=(8,), order=(2, 0, 1))
            ),
            constant=True,
        ),
        "modular-tables": varied(
            lambda: t.Autoregressive(t.Modular(3), OneHot((3, 3), 3), AutoregressiveTable(3, 3, classes=3)),
            constant=True,
        ),
        "ranks-coupling": varied(
            lambda: t.Coupling(t.RankedLabels((4, 2, 5)), OneHot((3, 5), (4, 2, 5)), [True, False, False], labels),
            constant=True,
            exempt=dict.fromkeys(
                ("gradients", "gradient_straight_through"), "ranks learn by the costs of their choices"
            ),
        ),
        "autoregressive-gaussians": lambda: d.AutoregressiveModel(
            r3, d.MixtureFactor(2), MaskedMLP(3, 6, hidden=(8,), direct=True, order=(2, 0, 1))
        ),
        "autoregressive-laplacians": lambda: d.AutoregressiveModel(
            r2, d.MixtureFactor(2, "laplace"), CausalTransformer(1, 6, length=2, hidden=4, blocks=1, heads=2)
        ),
        "autoregressive-pixels": lambda: pixels(d.CategoricalFactor((3,) * 4, code="number"), channels=1),
        "autoregressive-colours": lambda: pixels(d.LogisticLevelsFactor(3, 2, channels=2), channels=2),
        "order-average": lambda: d.OrderAverage(
            Categories((3,), (3, 2, 4)),
            d.CategoricalFactor((3, 2, 4)),
            MaskEnsemble(3, 4, masks=3, width=4, hidden=(9,)),
        ),
        "order-average-direct": lambda: d.OrderAverage(
            r2, d.MixtureFactor(2), MaskEnsemble(2, 6, masks=2, hidden=(6, 5), direct=True, context=2), context=2
        ),
        "autoregressive-categorical": lambda: d.AutoregressiveCategorical((3, 2, 4), hidden=(16,)),
        "conditional-categorical": lambda: d.AutoregressiveCategorical((3, 2), context=2, hidden=(8,)),
        "orderless-table": varied(
            lambda: d.Orderless(table, hidden=(8,), components=2, orders=3),
            exempt={
                **in_float64,
                "bad_input": "NaN is an entry that is not asked for",
            },
        ),
        "tails": lambda: t.Elementwise(t.TailMap(4), r2),
        "tails-context": lambda: t.Marginals(r2, 3, context=2, hidden=(8,)),
        "copula-layer": lambda: t.CopulaLayer(r3, 3, hidden=(6,), nodes=16),
        **{
            f"vine-of-{name}-{turn}": partial(vine, unit, (name,), (turn,))
            for name, turn in (("clayton", 90), ("gumbel", 270), ("frank", 0), ("student", 0), ("kernel", 0))
        },
        "vine-of-three": lambda: vine(r3, ("gaussian", "clayton", "frank"), (0, 270, 90)),
        "from-torch": lambda: d.FromTorch(torch.distributions.Gumbel, r2, loc=torch.zeros(2), scale=torch.ones(2)),
    }
    return [
        dataclasses.replace(made, name=name) if isinstance(made, Case) else Case(name, made)
        for name, made in makers.items()
    ]


def all_cases(pattern: str = "") -> list[Case]:
    """Return the cases of systems, then those of layers, whose names match a regular expression."""
    return [case for case in (*system_cases(), *layer_cases()) if re.search(pattern, case.name)]
