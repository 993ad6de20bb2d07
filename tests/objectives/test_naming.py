"""What objectives call themselves."""

from torch import nn

from pushforward.core import Box, Chain, Flow, Integers, Real
from pushforward.distributions import Normal
from pushforward.objectives import (
    Flipped,
    NegativeLogLikelihood,
    PenalisedLikelihood,
    default_objective,
    objective_name,
)
from pushforward.systems import NSF
from pushforward.transforms import Dequantise, Logit


def test_likelihoods():
    flow = NSF(features=2, layers=1, hidden=8).build()
    name = "negative log-likelihood, nats per row"
    assert objective_name(default_objective(flow)) == name
    assert objective_name(Flipped(NegativeLogLikelihood(flow))) == name
    penalised = PenalisedLikelihood(flow, {"energy": 0.01, "jacobian": 0.0})
    assert objective_name(penalised) == f"{name}, with the penalties 0.01 energy"


def test_bounds():
    unit = Box((2,))
    flow = Flow(Chain(Dequantise(Integers((2,), 0, 3)), Logit(unit)), Normal(Real((2,))))
    assert objective_name(NegativeLogLikelihood(flow)) == "upper bound of the negative log-likelihood, nats per row"


def test_other_objectives():
    class Own(nn.Module):
        def forward(self, batch):
            return batch[0].mean()

    assert objective_name(Own()) == "loss of Own"
