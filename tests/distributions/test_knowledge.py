"""Types of knowledge: products of experts against quadrature, both factorisations, and types that are added later."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Normal

import pushforward as pf
from pushforward.core import Real
from pushforward.distributions import Knowledge
from pushforward.errors import SpecError
from pushforward.functional.bounds import soft_clip
from pushforward.objectives import default_objective
from pushforward.systems import TzK
from pushforward.systems.tzk import learn_more

DOUBLE = torch.float64


def shaken(node, seed=0, spread=0.4):
    generator = torch.Generator().manual_seed(seed)
    for parameter in node.parameters():
        parameter.data += spread * torch.randn(parameter.shape, generator=generator)
    return node.to(DOUBLE)


@pytest.fixture
def base():
    torch.manual_seed(0)
    return shaken(Knowledge(Real((1,)), ("odd", "small"), components=2, attributes=1))


def test_conditions_combine_as_a_product_of_experts(base):
    grid = torch.linspace(-30, 30, 60001, dtype=DOUBLE)[:, None]
    step = math.log(60 / 60000)

    def density(known, attributes=None):
        return base.log_prob(grid, base.context_of(known, attributes).expand(len(grid), -1))

    odd = density({"odd": True, "small": False}, {"odd": [0.3]})
    small = density({"small": True}, {"small": [-1.0]})
    both = density({"odd": True, "small": True}, {"odd": [0.3], "small": [-1.0]})
    # Bayes' rule for types that are independent given z: p(z | a, b) ~ p(z | a) p(z | b) / p(z).
    product = odd + small - Normal(0, 1).log_prob(grid)[:, 0]
    assert torch.allclose(both, product - torch.logsumexp(product + step, 0), atol=1e-8)
    assert torch.allclose(density({"odd": False}), Normal(0, 1).log_prob(grid)[:, 0])


def test_loss_is_the_mean_of_both_factorisations():
    """Every term is computed anew, from the networks alone."""
    torch.manual_seed(1)
    model = shaken(TzK(features=2, context=4, attributes=1, layers=2, hidden=(8,), types=("a", "b")).build())
    x = torch.randn(5, 2, dtype=DOUBLE)
    existence = torch.tensor([[1, 0], [1, 1], [0, 0], [-1, 1], [-1, -1]], dtype=DOUBLE)
    attributes = torch.randn(5, 2, dtype=DOUBLE)
    context = torch.cat([existence, attributes], 1)
    base = model.base
    z, dlogp = model.chain(x)
    encoded, prior = torch.zeros(5, dtype=DOUBLE), torch.zeros(5, dtype=DOUBLE)
    for i in range(2):
        logit, mean, log_scale = base.encoders[i](z).unbind(1)
        for row in range(5):
            if existence[row, i] < 0:
                continue  # unknown
            encoded[row] += Bernoulli(logits=logit[row]).log_prob(existence[row, i])
            prior[row] += Bernoulli(logits=base.rates[i][0]).log_prob(existence[row, i])
            if existence[row, i] == 1:
                deviation = soft_clip(log_scale[row], 6.0).exp()
                encoded[row] += Normal(mean[row], deviation).log_prob(attributes[row, i])
                prior[row] += Normal(0, 1).log_prob(attributes[row, i])
    first = Normal(0, 1).log_prob(z).sum(1) + dlogp + encoded
    second = prior + base.log_prob(z, context) + dlogp
    logp, extra = model.log_prob_aux(x, context)
    assert torch.allclose(logp, model.log_prob(x, context))
    assert torch.allclose(logp + extra["knowledge"] / 2, (first + second) / 2)
    loss = default_objective(model).train()((x, context))
    assert loss.detach().item() == pytest.approx(float(-((first + second) / 2).mean().detach()))


def test_a_type_is_added_to_a_flow_that_stays_as_it_is(tmp_path):
    torch.manual_seed(2)
    x = torch.randn(200, 2)
    x[:, 0] += (x[:, 1] > 0) * 3
    right = (x[:, :1] > 1.5).float()
    model = TzK(features=2, context=1, layers=2, hidden=(8,), types=("right",)).build()
    pf.fit(model, x, context=right, epochs=3, progress=False)
    grown = learn_more(model, "upper")
    upper = torch.cat([torch.full((200, 1), -1.0), (x[:, 1:] > 0).float()], 1)
    before = {name: value.clone() for name, value in grown.named_parameters()}
    pf.fit(grown, x, context=upper, epochs=30, lr=3e-2, progress=False)
    changed = {name for name, value in grown.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(("base.experts.1", "base.encoders.1", "base.rates.1")) for name in changed)
    with torch.no_grad():
        assert torch.equal(model(x, right), grown(x, torch.cat([right, torch.zeros(200, 1)], 1)))
        chance = grown.base.existence(grown.encode(x, grown.base.context_of({})))[:, 1]
    agree = ((chance > 0.5) == (x[:, 1] > 0)).float().mean()
    assert agree > 0.9
    pf.save(grown, tmp_path / "grown.flow")
    again = pf.load(tmp_path / "grown.flow").model
    assert again.base.types == ("right", "upper")
    known = again.base.context_of({"upper": True})
    drawn = again.sample(500, known)
    assert (drawn[:, 1] > 0).float().mean() > 0.55


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda base: base.context_of({"od": True}), "did you mean 'odd'|there are"),
        (lambda base: base.context_of({}, {"odd": [1, 2]}), "expected 1 attributes"),
        (lambda base: base.add("odd"), "which is known"),
        (lambda base: Knowledge(Real((1,)), ()), "at least one type"),
        (lambda base: Knowledge(Real((1,)), [str(i) for i in range(11)], components=2), "at most 1,024"),
        (lambda base: TzK(features=2, context=3, attributes=1), "2 numbers for each type"),
        (lambda base: TzK(features=2, context=2, types=("a",)), "names of 2 types"),
        (lambda base: TzK(features=2, member="glow"), "system of vectors"),
        (lambda base: learn_more(pf.systems.NSF(features=2).build(), "a"), "system tzk"),
    ],
)
def test_wrong_types(base, make, words):
    with pytest.raises(SpecError, match=words):
        make(base)
