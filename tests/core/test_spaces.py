"""Spaces: membership, other points, tangent bases and quadratures; laws that nothing slips by on curved ones."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap

import pytest
import torch

from pushforward import laws
from pushforward.core import (
    Box,
    Categories,
    Chain,
    Circle,
    Distribution,
    Flow,
    Integers,
    OneHot,
    Product,
    Real,
    Simplex,
    Space,
    Sphere,
    Torus,
    Transform,
    product_of,
)
from pushforward.distributions import GaussianMixture, Normal, UniformSphere, UniformTorus
from pushforward.errors import DomainError, SpecError
from pushforward.laws.violations import LawBroken
from pushforward.tables.row_space import Column, TableSpace
from pushforward.transforms import Affine, Elementwise, RationalQuadratic

SPACES = [
    Real((2,)),
    Real((2, 3)),
    Box((2,), -1.0, 3.0),
    Box((2,), 0.0, math.inf),
    Box((1,), -math.inf, 1.0),
    Integers((2,), 0, 4),
    Integers((2,)),
    Integers((1,), None, 3),
    Categories((2,), 3),
    Categories((), 4),
    Categories((2,), (2, 5)),
    OneHot((2, 3), (3, 2)),
    Simplex((3,)),
    Simplex((2, 4)),
    Circle(),
    Torus((3,)),
    Sphere((2,)),
    Sphere((3,)),
    Sphere((6,)),
    Product(Torus((2,)), Real((3,))),
    Product(Sphere((3,)), Box((1,), -1.0, 1.0), Circle()),
]


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_points_of_a_space_lie_in_it_and_others_do_too(space):
    torch.manual_seed(0)
    x = space.random(50, torch.float64).to(space.event_dtype(torch.float64))
    other = space.another(x)
    assert x.shape == other.shape == (50, *space.shape)
    assert x.dtype == other.dtype
    assert bool(space.contains(x).all())
    assert bool(space.contains(other).all())
    moved = (x - other).double().reshape(50, -1).abs().amax(1)
    assert float(moved.min()) > 0.1
    assert torch.allclose(space.nearest(other).double(), other.double(), atol=1e-12)


@pytest.mark.parametrize("space", [s for s in SPACES if not s.discrete], ids=str)
def test_tangent_bases_have_the_dimension_of_the_space(space):
    torch.manual_seed(0)
    x = space.random(20, torch.float64)
    basis = space.tangent(x)
    assert basis.shape == (20, space.size, space.dim)
    if not isinstance(space, Simplex):
        assert torch.allclose(basis.mT @ basis, torch.eye(space.dim).double().expand(20, -1, -1), atol=1e-12)
    if isinstance(space, Sphere):
        assert float((x[:, None] @ basis).abs().max()) < 1e-12


def test_the_tangent_basis_of_a_sphere_holds_at_its_poles():
    poles = torch.tensor([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0]]).double()
    basis = Sphere((3,)).tangent(poles)
    assert bool(basis.isfinite().all())
    assert torch.allclose(basis.mT @ basis, torch.eye(2).double().expand(3, -1, -1))


def test_the_old_name_of_the_tangent_basis_warns():
    with pytest.warns(DeprecationWarning, match="tangent"):
        Real((2,)).frame(torch.zeros(1, 2))


def moment(space, function, points=400):
    x, w = space.quadrature(points)
    return float((function(x) * w).sum())


@pytest.mark.parametrize("n", [2, 3, 4])
def test_quadratures_of_spheres_are_exact_for_polynomials(n):
    """Area 2 pi^(n/2) / Gamma(n/2); the mean of x_i^2 is 1/n, of x_i^4 3 / (n (n + 2)), of x_1^2 x_2^2 1 / (n (n + 2))."""
    space = Sphere((n,))
    area = {2: 2 * math.pi, 3: 4 * math.pi, 4: 2 * math.pi**2}[n]
    assert space.area == pytest.approx(area)
    assert moment(space, lambda x: torch.ones(len(x))) == pytest.approx(area, rel=1e-12)
    for i in range(n):
        assert moment(space, lambda x, i=i: x[:, i]) == pytest.approx(0, abs=1e-12)
        assert moment(space, lambda x, i=i: x[:, i] ** 2) == pytest.approx(area / n, rel=1e-12)
        assert moment(space, lambda x, i=i: x[:, i] ** 4) == pytest.approx(3 * area / (n * (n + 2)), rel=1e-12)
    assert moment(space, lambda x: (x[:, 0] * x[:, -1]) ** 2) == pytest.approx(area / (n * (n + 2)), rel=1e-12)


def test_quadratures_of_flat_spaces():
    assert moment(Real((2,)), lambda x: (-x.square().sum(1) / 2).exp() / (2 * math.pi)) == pytest.approx(1, abs=1e-6)
    assert moment(Torus((2,)), lambda x: torch.cos(x[:, 0]) ** 2) == pytest.approx(2 * math.pi**2)
    for angles in (3, 4):
        torus = Torus(angles)
        assert moment(torus, lambda x: torch.cos(x[:, 0] - 2 * x[:, -1]) ** 2) == pytest.approx(
            (2 * math.pi) ** angles / 2, rel=1e-6
        )
        # The integral of exp(a cos x) over the circle is 2 pi I_0(a).
        bessel = 2 * math.pi * float(torch.special.i0(torch.tensor(2.0)))
        assert moment(torus, lambda x: (2 * x.cos()).sum(1).exp()) == pytest.approx(bessel**angles, rel=1e-4)
    product = Product(Circle(), Real(1), Box(1, -1.0, 1.0))
    assert moment(
        product, lambda x: x[:, 0].cos().exp() * (-x[:, 1].square() / 2).exp() * x[:, 2] ** 2
    ) == pytest.approx(2 * math.pi * 1.2660658777520084 * math.sqrt(2 * math.pi) * 2 / 3, rel=1e-3)
    assert moment(Circle(), lambda x: torch.ones(len(x))) == pytest.approx(2 * math.pi)
    assert moment(Box((1,), 2.0, math.inf), lambda x: (2 - x[:, 0]).exp()) == pytest.approx(1, abs=1e-2)
    dirichlet = torch.distributions.Dirichlet(torch.tensor([2.0, 3.0, 4.0]).double(), validate_args=False)
    assert moment(Simplex((3,)), lambda x: dirichlet.log_prob(x).exp()) == pytest.approx(1, abs=1e-4)
    beta = torch.distributions.Dirichlet(torch.tensor([2.0, 3.0]).double(), validate_args=False)
    assert moment(Simplex((2,)), lambda x: beta.log_prob(x).exp()) == pytest.approx(1, abs=1e-4)
    for space, count in (
        (Categories((2,), (2, 5)), 10),
        (OneHot((2, 3), (3, 2)), 6),
        (Integers((2,), 0, 4), 25),
        (Categories((), 4), 4),
        (TableSpace([Column(name=name, kind="integer", low=3.0, high=5.0) for name in "ab"]), 9),
    ):
        x, w = space.quadrature()
        assert (len(x), float(w.sum())) == (count, count)
        assert bool(space.contains(x).all())
        assert len({tuple(row.flatten().tolist()) for row in x}) == count


@pytest.mark.parametrize(
    "space",
    [
        Real((3,)),
        Torus((5,)),
        Sphere((5,)),
        Product(Real((3,)), Circle()),
        Simplex((4,)),
        Integers((9,), 0, 9),
        TableSpace([Column(name=name, kind="continuous") for name in "abc"]),
        TableSpace((Column(name="a", kind="integer"),)),
    ],
)
def test_spaces_without_a_quadrature_say_so(space):
    with pytest.raises(SpecError, match=r"expected (a space|one or two dimensions)"):
        space.quadrature()


def test_a_circle_is_the_torus_of_one_angle():
    assert Circle() == Torus((1,))
    assert hash(Circle()) == hash(Torus((1,)))
    assert Torus((2,)) != Torus((1,))
    assert Circle() != Real((1,))
    turned = Torus((2,)).nearest(torch.tensor([[-0.5, 7.0], [-1e-9, 2 * math.pi]]))
    assert bool(Torus((2,)).contains(turned).all())
    assert turned[0].tolist() == pytest.approx([2 * math.pi - 0.5, 7 - 2 * math.pi])


def test_spheres_refuse_shapes_that_are_no_vectors():
    for shape in ((), (1,), (2, 3)):
        with pytest.raises(SpecError, match="sphere"):
            Sphere(shape)


def test_uniform_densities():
    torch.manual_seed(0)
    sphere = UniformSphere(Sphere((3,)))
    x = sphere.sample(4000)
    assert torch.allclose(sphere.log_prob(x), torch.tensor(-math.log(4 * math.pi)))
    assert float(x.mean(0).abs().max()) < 0.05
    assert float((x.square().mean(0) - 1 / 3).abs().max()) < 0.03
    assert sphere.log_prob(2 * x[:3]).tolist() == [-math.inf] * 3
    torus = UniformTorus(Torus((2,)))
    assert torch.allclose(torus.log_prob(torus.sample(5)), torch.tensor(-2 * math.log(2 * math.pi)))
    with pytest.raises(DomainError):
        sphere.log_prob(torch.full((1, 3), math.nan))


class Moebius(Transform):
    """Moebius map of a sphere onto itself (Rezende et al. 2020, arXiv:2002.02428, section 2.3.1).

        z = (1 - |w|^2) / |x - w|^2 (x - w) - w,    dlogp = (n - 1) log((1 - |w|^2) / |x - w|^2)

    Args:
        space: The sphere.
        extra: Constant added to dlogp, a fault.
    """

    def __init__(self, space: Sphere, extra: float = 0.0) -> None:
        super().__init__()
        self.x_space = self.z_space = space
        self.free = torch.nn.Parameter(torch.zeros(space.size))
        self.extra = extra

    def _map(self, x, w):
        ratio = (1 - w.square().sum()) / (x - w).square().sum(1)
        return ratio[:, None] * (x - w) - w, self.x_space.dim * ratio.log()

    def forward(self, x, context=None):
        """(B, n) -> (B, n), (B,)."""
        z, dlogp = self._map(x, 0.8 * self.free / (1 + self.free.norm()))
        return z, dlogp + self.extra

    def inverse(self, z, context=None):
        """The same with -w."""
        x, dlogp = self._map(z, -0.8 * self.free / (1 + self.free.norm()))
        return x, dlogp - self.extra


def moebius(n=3, extra=0.0):
    space = Sphere((n,))
    return Flow(Chain(Moebius(space), Moebius(space, extra)), UniformSphere(space))


@pytest.mark.parametrize("n", [2, 3])
def test_a_flow_on_a_sphere_keeps_the_laws(n):
    outcomes = {o.law: o for o in laws.check(lambda: moebius(n))}
    for law in ("total_mass", "samples_follow_density", "density_is_checked", "roundtrip", "contribution_is_logdet"):
        assert outcomes.get(law) is None or outcomes[law].verdict == "pass", outcomes[law]
    assert outcomes["total_mass"].verdict == "pass"
    assert outcomes["samples_follow_density"].verdict == "pass"


class Louder(Distribution):
    """A density multiplied by a constant, whose parts are all right."""

    def __init__(self, inner, factor):
        super().__init__()
        self.inner, self.space, self.factor = inner, inner.space, math.log(factor)

    def _log_prob(self, x, context):
        return self.inner._log_prob(x, context) + self.factor

    def _sample(self, n, context):
        x, logp = self.inner._sample(n, context)
        return x, logp + self.factor


def test_a_density_on_a_sphere_that_is_too_large_fails():
    """It passed: the law of total mass knew the line, boxes and labels only, and had nothing to say."""
    with pytest.raises(LawBroken, match=r"total mass 1\.64"):
        laws.check(lambda: Louder(moebius(), math.exp(0.5)))
    with pytest.raises(LawBroken):
        laws.check(lambda: moebius(extra=0.5))


@pytest.mark.parametrize("features", [3, 8])
def test_a_density_of_many_dimensions_that_is_too_large_fails(features):
    def flow():
        layer = Elementwise(Affine(), Real((features,)))
        return Flow(Chain(layer), Normal(Real((features,))))

    case = laws.Case("flow", flow)
    assert laws.run(case, "mass_by_samples").verdict == "pass"
    assert laws.run(case, "density_is_checked").verdict == "pass"
    for factor in (1.1, 0.9):
        wrong = laws.run(laws.Case("louder", lambda factor=factor: Louder(flow(), factor)), "mass_by_samples")
        assert wrong.verdict == "FAIL"
        assert "mean ratio" in wrong.detail


class Strange(Space):
    """A space that nobody can integrate over."""

    def random(self, n, dtype=torch.float32):
        """Normal points."""
        return torch.randn(n, *self.shape, dtype=dtype)


class Silent(Distribution):
    """A normal on a strange space."""

    def __init__(self):
        super().__init__()
        self.space = Strange((2,))
        self.inner = Normal(Real((2,)))

    def _log_prob(self, x, context):
        return self.inner._log_prob(x, context)

    def _sample(self, n, context):
        return self.inner._sample(n, context)


def test_a_density_whose_mass_no_law_knows_fails_unless_the_case_says_why():
    with pytest.raises(LawBroken, match="no law can check the total mass"):
        laws.check(Silent)
    case = laws.Case("silent", Silent, exempt={"density_is_checked": "its quadrature is not written yet"})
    assert {o.law: o.verdict for o in laws.check(case)}["density_is_checked"] == "exempt"
    useless = laws.Case("normal", lambda: Normal(Real((2,))), exempt={"density_is_checked": "none"})
    with pytest.raises(LawBroken, match="remove the exemption"):
        laws.check(useless)


class Mixture(Distribution):
    """A mixture of two normals whose weights are those of a label: FlowGMM's base (Izmailov et al. 2020)."""

    def __init__(self):
        super().__init__()
        self.space, self.context = Real((2,)), Categories((), 2)
        self.means = torch.nn.Parameter(torch.tensor([[-2.0, 0.0], [2.0, 1.0]]))

    def _log_prob(self, x, context):
        return -(x - self.means[context]).square().sum(1) / 2 - math.log(2 * math.pi)

    def _sample(self, n, context):
        x = self.means[context] + torch.randn(n, 2, dtype=self.means.dtype)
        return x, self._log_prob(x, context)


def test_a_label_in_the_base_alone_is_a_context_that_is_felt():
    outcomes = laws.check(lambda: Flow(Chain(Elementwise(RationalQuadratic(3), Real((2,)))), Mixture()), fast=True)
    verdicts = {o.law: o.verdict for o in outcomes}
    assert verdicts["context_matters"] == "pass"
    assert verdicts["bad_input"] == "pass"
    with pytest.raises(LawBroken, match="does not change with the context"):
        laws.check(lambda: Flow(Chain(Elementwise(RationalQuadratic(3), Real((2,)))), Deaf()), fast=True)


class Deaf(Mixture):
    """The same, which does not listen."""

    def _log_prob(self, x, context):
        return super()._log_prob(x, torch.zeros_like(context))

    def _sample(self, n, context):
        return super()._sample(n, torch.zeros_like(context))


@pytest.mark.dear
def test_laws_of_a_module_out_of_the_tree(tmp_path):
    (tmp_path / "my_systems.py").write_text(
        textwrap.dedent(
            '''
            from dataclasses import dataclass

            from pushforward.core import Chain, Flow, Real, Spec
            from pushforward.distributions import Normal
            from pushforward.transforms import Affine, Elementwise


            @dataclass(frozen=True, kw_only=True)
            class Scale(Spec):
                """Scales."""

                name = "my-scale"
                family = "mine"
                paper = "none"
                features: int

                def build(self):
                    """Build."""
                    return Flow(Chain(Elementwise(Affine(), Real((self.features,)))), Normal(Real((self.features,))))

                def exemptions(self):
                    """Return reasons."""
                    return {"contribution_varies": "it scales alike everywhere"}

                @classmethod
                def cases(cls):
                    """Yield one."""
                    yield cls(features=2)
            '''
        )
    )
    command = [sys.executable, "-m", "pushforward.laws", "check", "--module", "my_systems", "--quick"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "my-scale-0:" in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_mixture_base_still_keeps_the_laws():
    laws.check(lambda: GaussianMixture(Real((2,)), 3), fast=True)


def test_a_product_joins_its_parts():
    space = product_of([Real(1), Real(2), Circle(), Torus(2), Box(1, -1.0, 1.0)])
    assert space == Product(Real(3), Torus(3), Box(1, -1.0, 1.0))
    assert space.angles == (False,) * 3 + (True,) * 3 + (False,)
    assert (space.dim, space.size) == (7, 7)
    assert space.axes[3] == Circle()
    assert product_of([Real(1), Real(2)]) == Real(3)
    x = torch.tensor([[0.0, 1.0, 2.0, 7.0, 0.0, 0.0, 3.0]])
    assert not bool(space.contains(x))
    inside = space.nearest(x)
    assert bool(space.contains(inside))
    assert inside[0, 3] == pytest.approx(7 - 2 * math.pi)
    assert inside[0, 6] == 1
    assert bool(space.on_edge(inside))
    with pytest.raises(SpecError, match="continuous spaces of vectors"):
        Product(Real((2, 3)))
    with pytest.raises(SpecError, match="do not constrain each other"):
        _ = Product(Sphere(3), Real(1)).axes


def test_the_difference_of_angles_is_the_shorter_way():
    torus = Torus(2)
    near = torch.tensor([[0.1, 3.0]])
    far = torch.tensor([[6.2, 1.0]])
    assert torus.difference(near, far)[0].tolist() == pytest.approx([0.1 - 6.2 + 2 * math.pi, 2.0], abs=1e-5)
    points = torus.extreme(torus.random(100))
    assert bool(torus.contains(points).all())
    assert float(torus.difference(points, torch.zeros(1, 2)).abs().max()) < 0.004


def test_a_whole_number_is_the_shape_of_vectors():
    assert Real(3) == Real((3,))
    assert Torus(2) == Torus((2,))
    assert Sphere(3).area == pytest.approx(4 * math.pi)
