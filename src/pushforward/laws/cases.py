"""What the laws are run on: every registered system's `cases()`, and every layer and base on its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from .. import distributions as d
from .. import transforms as t
from ..core import (
    Box,
    Categories,
    Chain,
    Circle,
    Distribution,
    Flow,
    Integers,
    Inverse,
    Node,
    OneHot,
    Real,
    Simplex,
    Sphere,
    Torus,
    Transform,
)
from ..functional.ode import Fixed
from ..networks import (
    MLP,
    AutoregressiveTable,
    CausalTransformer,
    ConvNet,
    LabelMLP,
    LipschitzConvNet,
    LipschitzMLP,
    MaskedMLP,
    Potential,
    Velocity,
    VelocityMLP,
)
from ..systems.spec import Spec


@dataclass(frozen=True)
class Case:
    """One node under the laws.

    Args:
        name: Name in reports.
        make: Function that builds it, with fresh weights.
        spec: Description, for systems.
        constant: Whether the contribution is the same for every x by design.
        spread: Distance of the weights from their start, in deviations of the sums that they enter.
        calls: Number of repeats of what is random, to know its mean.
        exempt: Reason for each law that the case need not keep. An exemption whose law passes is an error.
    """

    name: str
    make: Callable[[], Node]
    spec: Spec | None = None
    constant: bool = False
    spread: float = 0.6
    calls: int = 100
    exempt: Mapping[str, str] = field(default_factory=dict)

    def build(self, dtype: torch.dtype = torch.float64, seed: int = 0) -> Node:
        """The node in evaluation mode, with every parameter and running average moved off its start."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            node = self.make()
            for p in node.parameters():
                terms = (
                    p[0].numel() if p.dim() == 4 else p.shape[-1]
                )  # of a sum in a convolution, or in a matrix product
                # Not `randn_like`, whose numbers depend on how the weights lie in memory.
                p.data.add_(self.spread / max(terms, 4) ** 0.5 * torch.randn(p.shape))
            for name, buffer in node.named_buffers():
                if name.endswith("mean"):
                    buffer.add_(0.3 * torch.randn_like(buffer))
                if name.endswith("variance"):
                    buffer.mul_(0.5 + torch.rand_like(buffer))
        return node.to(dtype).eval()


def draw(space_of: Node, side: str, n: int, dtype: torch.dtype) -> Tensor:
    """Points of one of a node's spaces ("space", "x_space", "z_space"), in the dtype it wants."""
    space = getattr(space_of, side)
    return space.random(n, dtype).to(space.event_dtype(dtype))


def draw_context(node: Node, n: int, dtype: torch.dtype) -> Tensor | None:
    """Points of a node's context space, or None."""
    return None if node.context is None else draw(node, "context", n, dtype)


def transforms_in(node: Node) -> Iterator[Transform]:
    """Every layer at or below a node."""
    return (m for m in node.modules() if isinstance(m, Transform))


def distributions_in(node: Node) -> Iterator[Distribution]:
    """Every distribution at or below a node."""
    return (m for m in node.modules() if isinstance(m, Distribution))


def system_cases() -> list[Case]:
    """All cases of all registered systems."""
    return [
        case_of(spec, f"{name}-{i}")
        for name, cls in sorted(Spec.registry.items())
        for i, spec in enumerate(cls.cases())
    ]


def case_of(spec: Spec, name: str) -> Case:
    """Return the case of a system, with what its class declares for the laws."""
    return Case(name, spec.build, spec, spread=spec.spread, exempt=spec.exemptions())


class Field(Velocity):
    """A velocity without derivatives of its own, on pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(1, 1, (3, 1), padding=(1, 0))

    def forward(self, t: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """T (), x (B, 1, 2, 1) -> the same shape."""
        return torch.tanh(self.mix(x) + t)


class Wells(nn.Module):
    """The log-density of two wells along the first coordinate, less its constant."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B,)."""
        return 1.5 * torch.logaddexp(x[:, 0], -x[:, 0]) - x.square().sum(1) / 2


class Triangular(nn.Module):
    """A conditioner that is autoregressive without being a MaskedMLP: parameters linear in tanh of the inputs before."""

    def __init__(self, features: int, n: int) -> None:
        super().__init__()
        self.mask: Tensor
        self.weight = nn.Parameter(0.5 * torch.randn(features, n, features))
        self.register_buffer("mask", torch.ones(features, features).tril(-1)[:, None, :], persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, D) -> (B, D, n)."""
        weight = (self.weight * self.mask).flatten(0, 1)
        return (torch.tanh(x) @ weight.mT).unflatten(-1, self.weight.shape[:2])


def layer_cases() -> list[Case]:
    """Every layer, scalar map, structure and base on its own, and one model of each other kind than bijections."""
    r1, r2, r3, unit = Real((1,)), Real((2,)), Real((3,)), Box((2,), 0.0, 1.0)
    picture = Real((3, 2, 2))
    net = partial(MLP, hidden=(8,), activation="tanh")
    convolutions = partial(ConvNet, hidden=6)
    labels = partial(LabelMLP, classes=5, hidden=(8,))
    bounded = t.RationalQuadratic(4, low=0.0, high=1.0)

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
        nn.init.normal_(warp.free, std=1.0)  # far from uniform, so that its density matters
        noise = Flow(Chain(warp), d.Uniform(unit))
        return Flow(Chain(t.Dequantise(Categories((2,), 3), noise), t.Elementwise(bounded, unit)), d.Uniform(unit))

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

    def tokens(length: int, block: int) -> t.Autoregressive:
        network = CausalTransformer(2, 4, length=length, hidden=4, blocks=2, heads=2, context=2)
        return t.Autoregressive(t.Affine(), Real((length, 2)), network, context=2, block=block)

    def nested() -> Flow:
        inner = Flow(t.Elementwise(t.RationalQuadratic(3), r2), d.StudentT(r2))
        return Flow(Chain(t.Coupling(t.Affine(), r2, t.half_mask(2), net)), inner)

    def embedded() -> Flow:
        coupling = t.Coupling(t.Affine(), r2, t.half_mask(2), net, context=4)
        return Flow(coupling, d.Normal(r2), embed=nn.Sequential(nn.Linear(3, 4), nn.Tanh()), context=r3)

    def aligned() -> LipschitzMLP:
        net = LipschitzMLP(2, hidden=(2,), coefficient=0.9)
        for layer in net.layers:
            nn.init.ones_(layer.inner.weight)  # so that powers of its Jacobian do not vanish
        return net

    def continuous(layer: str = "squash", *, context: int = 0, **options: object) -> t.Continuous:
        velocity = VelocityMLP(2, hidden=(8,), context=context, layer=layer)  # type: ignore[arg-type]
        return t.Continuous(velocity, r2, context=context, **options)  # type: ignore[arg-type]

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

    makers: dict[str, Callable[[], Node]] = {
        "leapfrog": lambda: t.Leapfrog(Wells(), r2, steps=3, step=0.2),
        "tempering": lambda: t.Tempering(r2, 0.7),
        "annealed-langevin": annealed,
        "underdamped": underdamped,
        "refresh": lambda: Flow(Chain(t.Refresh(r1), t.Elementwise(t.Affine(), r2)), d.Normal(r2)),
        "metropolis": lambda: walk(t.Metropolis(Wells(), r2, steps=2, step=1.3)),
        "additive": lambda: autoregressive(t.Additive()),
        "affine": lambda: t.Elementwise(t.Affine(), r2),
        "gated-affine": lambda: t.Elementwise(t.GatedAffine(), r2),
        "sigmoidal": lambda: t.Elementwise(t.Sigmoidal(), r2),
        "sigmoidal-jet": lambda: t.Elementwise(t.Sigmoidal(gain=2.0, shift=0.0), r2),
        "composed": lambda: t.Elementwise(t.Composed(t.LogisticMixture(3), t.Affine()), r2),
        "spline": lambda: t.Elementwise(t.RationalQuadratic(5, 4.0), r2),
        "spline-on-a-box": lambda: t.Elementwise(bounded, unit),
        "logistic-mixture": lambda: t.Elementwise(t.LogisticMixture(4), r2),
        "logistic-mixture-apart": lambda: t.Elementwise(t.LogisticMixture(4), r2),
        "logistic-mixture-coupling": lambda: t.Coupling(t.LogisticMixture(3), r3, [True, False, False], net),
        "elementwise-context": lambda: t.Elementwise(t.Affine(), r2, context=2, hidden=(8,)),
        "coupling-alternating": lambda: t.Coupling(t.Affine(), r3, t.alternating_mask(3), net, context=2),
        "coupling-random": lambda: t.Coupling(t.RationalQuadratic(3), Real((5,)), t.random_mask(5, 0), net),
        "autoregressive-affine": lambda: autoregressive(t.Affine(), order=(1, 2, 0)),
        "autoregressive-residual": lambda: t.Autoregressive(
            t.Affine(), Real((11,)), MaskedMLP(11, 2, hidden=(24, 24, 24), residual=True, context=2), context=2
        ),
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
        "residual-through-all-terms": lambda: t.Residual(
            aligned(),
            r2,
            lipschitz=0.9,
            logdet="roulette",
            scoring_terms=1,
            economical=False,
        ),
        "planar": lambda: t.Planar(r3),
        "planar-steep": lambda: t.Planar(r3),
        "planar-context": lambda: t.Planar(r2, context=2, hidden=(6,)),
        "cholesky": lambda: t.Cholesky(r3, context=2),
        "radial": lambda: t.Radial(r3),
        "radial-context": lambda: t.Radial(r2, context=2),
        "sylvester": lambda: t.Sylvester(Real((4,)), width=2),
        "sylvester-householder": lambda: t.Sylvester(r2, directions="householder", reflections=2, context=2),
        "sylvester-triangular": lambda: t.Sylvester(r3, directions="triangular", flip=True),
        "permutation": lambda: t.Permutation(r3, (2, 0, 1)),
        "diagonal": lambda: t.Diagonal(r2),
        "lu": lambda: t.LU(r3),
        "lu-channels": lambda: t.LU(picture),
        "coupling-channels": lambda: t.Coupling(t.Affine(), picture, [True, False, True], convolutions),
        "linear": lambda: t.Linear(r3),
        "linear-channels": lambda: t.Linear(picture),
        "lu-rotation": lambda: t.LU(Real((5, 1, 2)), rotation=True),
        "orthogonal-channels": lambda: t.Orthogonal(picture, rotation=True),
        "haar": lambda: t.Haar(Real((2, 4, 2))),
        "squeeze": lambda: t.Squeeze(Real((2, 6, 3)), 3),
        "checkerboard": lambda: t.Checkerboard(Real((2, 3, 4))),
        "tokens": lambda: t.Tokens(picture),
        "coupling-checkerboard": lambda: t.Coupling(
            t.Affine(), Real((2, 3, 4)), t.checkerboard_mask(3, 4), convolutions, context=2
        ),
        "coupling-given-a-picture": lambda: t.Coupling(
            t.RationalQuadratic(3), picture, t.half_mask(3), convolutions, context=Real((2, 4, 4))
        ),
        "autoregressive-tokens": lambda: tokens(3, block=1),
        "autoregressive-token-blocks": lambda: tokens(4, block=2),
        "orthogonal": lambda: t.Orthogonal(r3),
        "actnorm": lambda: t.ActNorm(r2),
        "actnorm-channels": lambda: t.ActNorm(picture, channels=True),
        "batch-norm": lambda: t.BatchNorm(r2),
        "batch-norm-channels": lambda: t.BatchNorm(picture, channels=True),
        "standardise": lambda: t.Standardise(r2, torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])),
        "standardise-measured": lambda: t.Standardise(r2),
        "logit": lambda: t.Logit(Box((2,), -1.0, 3.0)),
        "logit-constant": lambda: t.Logit(Box((2,), -1.0, 3.0), 0.1),
        "logit-constant-one-sided": lambda: t.Logit(unit, 0.05, symmetric=False),
        "centre": lambda: t.Centre(Box((2,), -1.0, 3.0)),
        "logit-above": lambda: t.Logit(Box((2,), 1.0, float("inf"))),
        "logit-below": lambda: t.Logit(Box((2,), float("-inf"), 1.0)),
        "log": lambda: t.Log(Box((2,), 1.0, float("inf"))),
        "log-below": lambda: t.Log(Box((2,), float("-inf"), 1.0)),
        "log-ratio": lambda: t.LogRatio(Simplex((2, 3))),
        "reshape": lambda: t.Reshape(Real((2, 3)), (6,)),
        "inverse": lambda: Inverse(t.Elementwise(t.Affine(), r2)),
        "rounded-shift": integer_flow,
        "dequantise": dequantised,
        "dequantise-by-a-flow": dequantised_labels,
        "slice": multiscale,
        "slice-given-a-label": factored,
        "vae": vae,
        "flow-in-a-flow": nested,
        "embedded-context": embedded,
        "normal": lambda: d.Normal(r2),
        "logistic": lambda: d.Logistic(r2),
        "student-t": lambda: d.StudentT(r2, 4.0),
        "uniform": lambda: d.Uniform(Box((2,), -1.0, 2.0)),
        "uniform-circle": lambda: d.UniformTorus(Circle()),
        "uniform-torus": lambda: d.UniformTorus(Torus((2,))),
        "uniform-sphere": lambda: d.UniformSphere(Sphere((3,))),
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
        "modular-coupling": lambda: t.Coupling(
            t.Modular((4, 2, 5), scale=True), OneHot((3, 5), (4, 2, 5)), [True, False, False], labels
        ),
        "modular-autoregressive": lambda: t.Autoregressive(
            t.Modular(6, scale=True), OneHot((3, 6), 6), MaskedMLP(3, 12, width=6, hidden=(8,), order=(2, 0, 1))
        ),
        "modular-tables": lambda: t.Autoregressive(
            t.Modular(3), OneHot((3, 3), 3), AutoregressiveTable(3, 3, classes=3)
        ),
        "autoregressive-categorical": lambda: d.AutoregressiveCategorical((3, 2, 4), hidden=(16,)),
        "conditional-categorical": lambda: d.AutoregressiveCategorical((3, 2), context=2, hidden=(8,)),
        "from-torch": lambda: d.FromTorch(torch.distributions.Gumbel, r2, loc=torch.zeros(2), scale=torch.ones(2)),
    }
    constant = {"additive", "permutation", "diagonal", "lu", "orthogonal", "actnorm", "batch-norm", "standardise"}
    constant |= {"standardise-measured", "reshape", "inverse", "affine", "gated-affine", "uniform", "centre"}
    constant |= {"uniform-circle", "uniform-torus", "uniform-sphere"}
    constant |= {"linear", "linear-channels", "lu-rotation", "orthogonal-channels", "haar", "squeeze", "checkerboard"}
    constant |= {"modular-coupling", "modular-autoregressive", "modular-tables"}
    constant |= {"leapfrog", "tempering", "cholesky"}
    constant |= {"tokens", "sigmoidal", "sigmoidal-jet", "batch-norm-channels"}
    calls = {"residual-through-all-terms": 1500}
    # Far from their start, where numeric inverses need many steps.
    spread = {"logistic-mixture-apart": 8.0, "planar-steep": 4.0}
    exempt = {
        name: {"export": "torch.export cannot take the gradient of a target"}
        for name in ("annealed-langevin", "underdamped", "metropolis")
    }
    return [
        Case(
            name,
            make,
            constant=name in constant,
            spread=spread.get(name, 0.6),
            calls=calls.get(name, 100),
            exempt=exempt.get(name, {}),
        )
        for name, make in makers.items()
    ]


def all_cases(pattern: str = "") -> list[Case]:
    """Systems, then layers, whose name contains the pattern (a regular expression)."""
    return [case for case in (*system_cases(), *layer_cases()) if re.search(pattern, case.name)]
