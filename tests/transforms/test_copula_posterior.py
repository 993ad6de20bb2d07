"""The Gaussian copula with marginals against SciPy, and the gap of a linear autoencoder that it closes."""

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.core import Chain, Flow, Inverse, Real
from pushforward.distributions import ConditionalNormal, Normal
from pushforward.objectives import EvidenceBound
from pushforward.systems.autoencoder import copula_posterior
from pushforward.training import fit
from pushforward.transforms import Affine, Elementwise, Stochastic

DOUBLE = torch.float64


@pytest.mark.parametrize("marginals", ["normal", "logistic"])
def test_density_of_the_copula(marginals):
    """log q(z) = log c(u) + sum_i log f_i(z_i), with the copula density as a ratio of normal densities."""
    torch.manual_seed(0)
    model = copula_posterior(Real((3,)), 2, marginals).to(DOUBLE)
    for parameter in model.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    context = torch.randn(2, dtype=DOUBLE)
    place, correlation = model.chain.layers[0], model.chain.layers[-1]
    zero, one = (place.inverse(torch.full((1, 3), v, dtype=DOUBLE), context[None])[0][0].detach() for v in (0.0, 1.0))
    loc, scale = zero, one - zero
    z = loc + 1.5 * scale * torch.randn(50, 3, dtype=DOUBLE)
    factor = correlation.layer._made(context[None])[1][0].detach()
    matrix = (factor @ factor.mT).numpy()
    assert np.allclose(np.diag(matrix), 1)
    assert np.abs(matrix - np.eye(3)).max() > 0.05
    kind = stats.norm if marginals == "normal" else stats.logistic
    width = scale.numpy() * (1 if marginals == "normal" else np.sqrt(3) / np.pi)
    one = kind(loc=loc.numpy(), scale=width)
    q = stats.norm.ppf(one.cdf(z.numpy()))
    expected = stats.multivariate_normal(np.zeros(3), matrix).logpdf(q) - stats.norm.logpdf(q).sum(1)
    expected += one.logpdf(z.numpy()).sum(1)
    assert np.allclose(model.log_prob(z, context).detach().numpy(), expected, atol=1e-6)


@pytest.mark.dear
def test_correlations_close_the_gap_of_a_linear_autoencoder():
    """With p(z) = N(0, 1) and x = W z + noise the posterior is normal with a precision L that is known.

    The best independent posterior loses 1/2 (sum_i log L_ii - log |L|).
    """
    torch.manual_seed(0)
    weight = torch.tensor([[2.0, 1.9], [1.0, 1.2]])
    precision = torch.eye(2) + weight.mT @ weight / 0.25
    gap = 0.5 * (precision.diagonal().log().sum() - precision.logdet()).item()
    x = (torch.randn(2000, 2) @ weight.mT + 0.5 * torch.randn(2000, 2)).detach()
    exact = torch.distributions.MultivariateNormal(torch.zeros(2), weight @ weight.mT + 0.25 * torch.eye(2))

    def loss_of_bound(encoder):
        model = Flow(Chain(Stochastic(encoder, decoder(weight))), Normal(Real((2,))))
        fit(model, x, objective=EvidenceBound(model), epochs=40, batch_size=200, lr=5e-2, schedule="cosine",
            patience=0, progress=False)  # fmt: skip
        with torch.no_grad():
            bound = torch.stack([model.log_prob(x) for _ in range(40)]).mean()
            return (exact.log_prob(x).mean() - bound).item()

    alone = loss_of_bound(Flow(Inverse(Elementwise(Affine(), Real((2,)), context=2, hidden=())), Normal(Real((2,)))))
    closed = loss_of_bound(copula_posterior(Real((2,)), 2, "normal"))
    assert alone == pytest.approx(gap, abs=0.1 * gap)
    assert closed < 0.05 * gap


def decoder(weight):
    """N(x; W z, 0.25), without parameters to train."""
    linear = torch.nn.Linear(2, 4)
    with torch.no_grad():
        linear.weight.copy_(torch.cat([weight, torch.zeros(2, 2)]))
        # The layer bounds log s smoothly, so the bias is a little larger than log 0.5.
        linear.bias.copy_(torch.tensor([0.0, 0.0, 1, 1]))
    found = ConditionalNormal(Real((2,)), 2, net=linear.requires_grad_(requires_grad=False))
    low, high = -2.0, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        linear.bias.data[2:] = middle
        scale = found._loc_and_log_scale(torch.zeros(1, 2))[1].exp()[0, 0].item()
        low, high = (middle, high) if scale < 0.5 else (low, middle)
    return found
