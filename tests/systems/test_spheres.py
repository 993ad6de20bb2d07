"""Systems on spheres: bases, directions with a closed form, contexts, and fits to points."""

import pytest
import torch
from command_line import run

import pushforward as pf
from pushforward.core import Sphere
from pushforward.distributions import UniformSphere, VonMisesFisher, VonMisesFisherMixture
from pushforward.errors import SpecError
from pushforward.systems.spec import Spec
from pushforward.systems.sphere_spec import SphereSpec

NAMES = sorted(name for name, cls in Spec.registry.items() if issubclass(cls, SphereSpec))


def small(name, **fields):
    values = next(iter(Spec.registry[name].cases())).to_dict()
    return Spec.registry[name](**{k: v for k, v in {**values, **fields}.items() if k != "system"})


def test_there_are_four_systems():
    assert NAMES == ["exponential-map", "riemannian-flow-matching", "sphere", "sphere-cnf"]


@pytest.mark.parametrize("name", NAMES)
def test_every_system_takes_every_base(name):
    for base, kind in (
        ("uniform", UniformSphere),
        ("von-mises-fisher", VonMisesFisher),
        ("mixture", VonMisesFisherMixture),
    ):
        model = small(name, base=base).build()
        assert isinstance(model.base, kind)
        assert model.space == Sphere((3,))
    with pytest.raises(SpecError, match="base to be one of"):
        small(name, base="normal")
    with pytest.raises(SpecError, match="features >= 2"):
        small(name, features=1)
    with pytest.raises(SpecError, match="largest"):
        small(name, largest=0.0)


@pytest.mark.parametrize("name", NAMES)
def test_the_spec_follows_from_the_data(name):
    x, c = Sphere((4,)).random(10), torch.randn(10, 2)
    spec = Spec.registry[name].from_data(x, c)
    assert (spec.features, spec.context) == (4, 2)


@pytest.mark.dear
@pytest.mark.parametrize("name", ["sphere", "sphere-cnf"])
def test_a_fit_to_points_comes_close_to_the_truth(name):
    torch.manual_seed(0)
    truth = VonMisesFisherMixture(Sphere((3,)), 2)
    truth.directions.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    truth.free.data = torch.tensor([3.0, 4.0])
    x = truth.sample(1500)
    fields = {
        "sphere": {"layers": 2, "hidden": (32,), "bins": 8},
        "sphere-cnf": {"hidden": (32, 32), "steps": 4},
    }[name]
    model = small(name, **fields).build()
    pf.fit(model, x, epochs=6, batch_size=100, lr=1e-2, schedule="cosine", progress=False)
    test = truth.sample(1000)
    with torch.no_grad():
        gap = float((truth.log_prob(test) - model.eval().log_prob(test)).mean())
    assert gap < 0.4


@pytest.mark.dear
def test_exponential_maps_learn_a_broad_density():
    torch.manual_seed(0)
    truth = VonMisesFisher(Sphere((3,)))
    truth.free.data.fill_(1.0)
    x, test = truth.sample(1000), truth.sample(2000)
    model = small("exponential-map", potential="polynomial", layers=3).build()
    pf.fit(model, x, epochs=20, batch_size=100, lr=2e-2, schedule="cosine", progress=False)
    with torch.no_grad():
        gap = float((truth.log_prob(test) - model.eval().log_prob(test)).mean())
    assert gap < 0.08


def test_a_table_of_unit_vectors_is_matched_to_the_base_of_its_flow(tmp_path):
    x = Sphere((3,)).random(80)
    path = tmp_path / "x.csv"
    path.write_text("x,y,z\n" + "\n".join(",".join(f"{v:.7f}" for v in row) for row in x.tolist()))
    for base in ("uniform", "mixture"):
        code, _, err = run(
            "fit", path, "--flow", "riemannian-flow-matching", "--set", f"base={base}", "--set", "centres=2",
            "--set", "steps=2", "--hidden", 8, "--epochs", 1, "--out", tmp_path / f"{base}.flow", "--no-baselines",
        )  # fmt: skip
        assert code == 0, err


def test_both_closed_directions_have_the_same_family():
    for name in ("sphere", "exponential-map"):
        torch.manual_seed(0)
        flow = small(name, closed="sampling").build().double()
        for p in flow.parameters():
            p.data.add_(0.3 * torch.randn_like(p))
        x, logp = flow.sample_and_log_prob(200)
        assert torch.allclose(flow.log_prob(x), logp, atol=1e-8)
