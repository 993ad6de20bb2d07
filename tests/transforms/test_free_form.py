"""Free-form layers: values, the surrogate of the gradient, and training to an inverse."""

from functools import partial

import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.networks import MLP
from pushforward.systems import FreeFormFlow
from pushforward.transforms import FreeForm

R3 = Real((3,))


class Affine(nn.Module):
    """x -> A x - x, so that x + net(x) = A x."""

    def __init__(self, matrix):
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, x):
        return x @ self.matrix.mT - x


def test_log_determinants_are_those_of_automatic_differentiation():
    """Both directions, with a context."""
    torch.manual_seed(0)
    network = partial(MLP, hidden=(8,), activation="tanh", zero=False)
    layer = FreeForm(R3, network, network, context=2).double().eval()
    x, c = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    for run, network in ((layer, layer.encode), (layer.inverse, layer.decode)):
        z, dlogp = run(x, c)
        torch.testing.assert_close(z, x + network(x, c))
        for i in range(4):
            jacobian = torch.func.jacrev(lambda v, i=i, run=run: run(v[None], c[i : i + 1])[0][0])(x[i])
            torch.testing.assert_close(dlogp[i], torch.linalg.slogdet(jacobian).logabsdet)


def test_the_surrogate_has_the_gradient_of_the_log_determinant():
    """For a linear encoder with its inverse as decoder the mean of the estimates is A^-T, and the value is zero."""
    torch.manual_seed(1)
    matrix = torch.eye(3, dtype=torch.float64) + 0.3 * torch.randn(3, 3, dtype=torch.float64)
    layer = FreeForm(R3, Affine(matrix), Affine(torch.linalg.inv(matrix))).double().train()
    x = torch.randn(40_000, 3, dtype=torch.float64)
    _, dlogp = layer(x)
    assert not dlogp.any()
    dlogp.mean().backward()
    torch.testing.assert_close(layer.encode.net.matrix.grad, torch.linalg.inv(matrix).mT, rtol=0, atol=0.05)
    assert layer.decode.net.matrix.grad is None


def test_training_makes_the_decoder_an_inverse():
    """A few hundred steps on two modes: a small error of the reconstruction, and a better likelihood than at the start."""
    torch.manual_seed(2)
    x = torch.randn(2000, 2) * 0.5 + torch.where(torch.rand(2000, 1) < 0.5, 1.5, -1.5)
    flow = FreeFormFlow(features=2, hidden=(32, 32)).build()
    before = flow.log_prob(x).mean()
    pf.fit(flow, x, max_steps=300, epochs=100, lr=3e-3, progress=False)
    error = flow.chain.forward_aux(x)[2]["reconstruction"].mean().sqrt()
    assert error < 0.1
    assert flow.log_prob(x).mean() > before + 0.3
    assert flow.exactness.symbol == "~"


def test_mistakes_get_one_sentence():
    """The kind of gradient, the weight, and pictures."""
    with pytest.raises(SpecError, match="'surrogate' or 'exact'"):
        FreeForm(R3, gradient="none")
    with pytest.raises(SpecError, match="space of vectors"):
        FreeForm(Real((1, 2, 2)))
    with pytest.raises(SpecError, match="reconstruction > 0"):
        FreeFormFlow(features=2, reconstruction=0.0)
