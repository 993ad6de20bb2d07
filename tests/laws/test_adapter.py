"""Flows of other libraries under the laws."""

import pytest
import torch
from torch import nn

from pushforward.laws import DEAR, AdaptedFlow, Adapter, Case, check, run


class Module(nn.Module):
    """An affine map whose scale and shift come from parameters, and from a context when there is one."""

    def __init__(self, features, context=0):
        super().__init__()
        self.own = nn.Parameter(torch.zeros(2, features))
        self.net = nn.Linear(context, 2 * features) if context else None

    def parameters_for(self, c):
        given = 0 if self.net is None else self.net(c).unflatten(-1, self.own.shape)
        return (self.own + given).unbind(-2)


class Affine(Adapter):
    def log_prob(self, x, c=None):
        z, log_det = self.to_latent(x, c)
        return torch.distributions.Normal(0.0, 1.0, validate_args=False).log_prob(z).sum(-1) + log_det

    def sample(self, n, c=None):
        z = torch.randn(n, *self.shape, dtype=self.dtype)
        return self.to_data(z, None if c is None else c.expand(n, -1))[0]

    def to_latent(self, x, c=None):
        scale, shift = self.module.parameters_for(c)
        return x * scale.exp() + shift, scale.sum(-1).expand(x.shape[:-1])

    def to_data(self, z, c=None):
        scale, shift = self.module.parameters_for(c)
        return (z - shift) / scale.exp(), -scale.sum(-1).expand(z.shape[:-1])


class WithoutLogDet(Affine):
    def to_data(self, z, c=None):
        return super().to_data(z, c)[0], None


class Doubled(Affine):
    def to_latent(self, x, c=None):
        z, log_det = super().to_latent(x, c)
        return z, 2 * log_det

    def to_data(self, z, c=None):
        x, log_det = super().to_data(z, c)
        return x, 2 * log_det


class WrongSamples(Affine):
    def sample(self, n, c=None):
        return super().sample(n, c) + 0.5


class WithoutContext(Affine):
    def to_latent(self, x, c=None):
        return super().to_latent(x, 0 * c)

    def to_data(self, z, c=None):
        return super().to_data(z, 0 * c)


def case(adapter, context):
    return Case(adapter.__name__, lambda: AdaptedFlow(adapter(Module(2, context), (2,), context)))


@pytest.mark.parametrize("adapter", [Affine, WithoutLogDet])
@pytest.mark.parametrize("context", [0, 3])
def test_a_correct_flow_keeps_the_laws(adapter, context):
    outcomes = check(case(adapter, context), fast=True)
    assert sum(outcome.verdict == "pass" for outcome in outcomes) >= 15


@pytest.mark.slow
def test_a_correct_flow_keeps_the_slow_laws():
    for law in DEAR:
        outcome = run(case(Affine, 3), law)
        assert outcome.verdict != "FAIL", outcome.detail


@pytest.mark.parametrize(
    ("adapter", "context", "law"),
    [
        (Doubled, 0, "jacobian"),
        (WrongSamples, 0, "samples_follow_density"),
        (WithoutContext, 3, "context_matters"),
    ],
)
def test_a_wrong_flow_breaks_a_law(adapter, context, law):
    assert run(case(adapter, context), law).verdict == "FAIL"
