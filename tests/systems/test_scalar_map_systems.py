"""Systems that differ in their scalar map: structure, start, errors, and a density that is learned."""

import pytest
import torch

import pushforward as pf
from pushforward.errors import SpecError
from pushforward.transforms import Autoregressive, Coupling

SPECS = {
    "naf": {},
    "naf dense": {"map": "dense", "sigmoids": 3},
    "umnn": {"nodes": 16},
    "sos": {},
    "bernstein": {},
    "bent": {"map": "sinh"},
    **{f"nsf {kind}": {"spline": kind} for kind in ("linear", "quadratic", "cubic", "linear-rational")},
}


def build(name, **options):
    return pf.build(name.split()[0], features=2, layers=2, hidden=16, blocks=0, **SPECS[name], **options)


@pytest.mark.parametrize("name", SPECS)
def test_flows_start_near_the_identity_and_learn(name):
    torch.manual_seed(0)
    x = torch.randn(500, 2)
    x[:, 1] += x[:, 0].square() / 2
    for structure, layer in (("autoregressive", Autoregressive), ("coupling", Coupling)):
        flow = build(name, structure=structure, linear=False)
        assert all(isinstance(part, layer) for part in flow.chain.layers)
        with torch.no_grad():
            assert float((flow.encode(x[:50]) - x[:50]).abs().mean()) < 0.5
            before = float(flow.log_prob(x).mean())
    pf.fit(flow, x, max_steps=10, lr=1e-2, progress=False)
    with torch.no_grad():
        assert float(flow.log_prob(x).mean()) > before
        assert flow.sample(20).shape == (20, 2)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("umnn", {"nodes": 7}, "even number of nodes"),
        ("umnn", {"depth": 3}, "one or two layers"),
        ("sos", {"degree": 13}, "degree from 0 to 12"),
        ("bernstein", {"degree": 0}, "degree from 1 to 100"),
        ("bernstein", {"bound": 0.0}, "bound > 0"),
        ("naf", {"sigmoids": 0}, "sigmoids >= 1"),
        ("bent", {"map": "box-cox"}, "map"),
        ("nsf", {"spline": "quartic"}, "spline"),
    ],
)
def test_arguments_are_checked(name, options, words):
    with pytest.raises(SpecError, match=words):
        pf.build(name, features=2, **options)
