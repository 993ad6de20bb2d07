"""Options of variational fits: as a config, as keywords, and out of range."""

import pytest
import torch

from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.objectives import PathGradient, ReverseKL
from pushforward.posteriors import VariationalConfig, fit

SMALL = VariationalConfig(flow="gaussian", start="wide", steps=40, samples=32, draws=400, chains=0)


def valley(z):
    return -0.5 * (z[:, 0].square() + (z[:, 1] - z[:, 0]).square())


def test_a_config_and_keywords_are_the_same():
    first = fit(valley, Real((2,)), config=SMALL.replace(seed=3), progress=False)
    second = fit(
        valley,
        Real((2,)),
        flow="gaussian",
        start="wide",
        steps=40,
        samples=32,
        draws=400,
        chains=0,
        seed=3,
        progress=False,
    )
    third = fit(valley, Real((2,)), config=SMALL, seed=3, progress=False)
    for other in (second, third):
        assert torch.equal(first.log_weights, other.log_weights)
        assert first.history == other.history


def test_the_divergence_is_found_by_name_or_given():
    assert SMALL.divergence is ReverseKL
    assert SMALL.replace(objective="path").divergence is PathGradient
    assert SMALL.replace(objective=PathGradient).divergence is PathGradient


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"step": 10}, "a variational fit has no option 'step'; did you mean 'steps'?"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"layers": 0}, "expected layers >= 1, got 0"),
        ({"draws": 401}, "expected draws a multiple of 4"),
        ({"anneal": 1.5}, "anneal in [0, 1]"),
        ({"scale": 0.0}, "scale > 0, got 400, 0, 0, 0.3 and 0.0"),
        ({"objective": "elbo"}, "expected a known objective, got 'elbo'"),
    ],
)
def test_options_out_of_range(fields, expected):
    with pytest.raises(SpecError) as error:
        SMALL.replace(**fields)
    assert expected in str(error.value)
