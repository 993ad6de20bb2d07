"""Variational autoencoders: the bound in its parts, warm-up, free bits, many samples, decoders, a known evidence."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import pushforward as pf
from pushforward.core import Chain, Flow, Inverse, Real
from pushforward.distributions import ConditionalLogistic, ConditionalNormal, Normal
from pushforward.errors import SpecError
from pushforward.evaluation import bits_per_dimension, log_likelihoods
from pushforward.objectives import Binarised, EvidenceBound, bound_terms, default_objective
from pushforward.systems import NSF, VAE, vae
from pushforward.transforms import Affine, Cholesky, Elementwise, Stochastic

SHAPE = (1, 2, 2)


def seeded(call, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return call()


def small(**fields):
    torch.manual_seed(0)
    model = VAE(**{"shape": SHAPE, "levels": 2, "latent": 2, "hidden": (8,), "steps": 2, **fields}).build()
    for p in model.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return model, torch.randint(0, fields.get("levels", 2), (6, *SHAPE)).float()


@pytest.mark.parametrize(
    "posterior", ["diagonal", "full", "planar", "radial", "sylvester", "iaf", "spline", "hamiltonian"]
)
def test_terms_add_up_to_the_bound(posterior):
    model, x = small(posterior=posterior)
    reconstruction, divergences = seeded(lambda: bound_terms(model, x))
    assert torch.allclose(reconstruction - sum(divergences), seeded(lambda: model.log_prob(x)), atol=1e-5)
    assert model.exactness.symbol == ">="


def test_stacked_latent_variables_have_a_divergence_each():
    model, x = small(levels=5, above=(2, 1))
    reconstruction, divergences = seeded(lambda: bound_terms(model, x))
    assert len(divergences) == 3
    assert torch.allclose(reconstruction - sum(divergences), seeded(lambda: model.log_prob(x)), atol=1e-5)
    assert model.sample(3).shape == (3, *SHAPE)


def test_layers_in_front_of_the_encoder_belong_to_the_reconstruction():
    torch.manual_seed(0)
    space = Real((3,))
    stochastic = Stochastic(ConditionalNormal(Real((2,)), 3, hidden=(4,)), ConditionalNormal(space, 2, hidden=(4,)))
    inner = Elementwise(Affine(), Real((2,)))
    nn.init.normal_(inner.free)
    model = Flow(Chain(Elementwise(Affine(), space), stochastic, inner), Normal(Real((2,))))
    nn.init.normal_(model.chain.layers[0].free)
    x = torch.randn(5, 3)
    reconstruction, (divergence,) = seeded(lambda: bound_terms(model, x))
    assert torch.allclose(reconstruction - divergence, seeded(lambda: model.log_prob(x)), atol=1e-5)
    with pytest.raises(SpecError, match="stochastic layer"):
        bound_terms(NSF(features=3, layers=1).build(), x)


def test_warmup_and_free_bits_change_training_alone():
    model, x = small()
    reconstruction, (divergence,) = seeded(lambda: bound_terms(model, x))
    objective = EvidenceBound(model, warmup=4)
    objective.train()
    losses = [float(seeded(lambda: objective((x,))).detach()) for _ in range(6)]
    for share, loss in zip((0, 0.25, 0.5, 0.75, 1, 1), losses, strict=True):
        assert loss == pytest.approx(float((share * divergence - reconstruction).mean().detach()), abs=1e-4)
    free = EvidenceBound(model, free_bits=50.0).train()
    assert float(seeded(lambda: free((x,))).detach()) == pytest.approx(
        50 - float(reconstruction.mean().detach()), abs=1e-4
    )
    plain = -float(seeded(lambda: model.log_prob(x)).mean().detach())
    for each in (objective, free):
        assert float(seeded(lambda each=each: each.eval()((x,))).detach()) == pytest.approx(plain, abs=1e-5)


def test_many_samples_in_pieces_give_one_bound_and_its_gradient():
    model, x = small(posterior="planar")

    def gradient(together):
        model.zero_grad()
        # The draws differ, and so the same pictures are seen many times.
        many = x.repeat(100, 1, 1, 1)
        loss = seeded(lambda: EvidenceBound(model, samples=12, together=together).train()((many,)))
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    one, whole = gradient(1), gradient(12)
    assert one[1].isfinite().all()
    assert float(one[0]) == pytest.approx(float(whole[0]), abs=0.03)
    assert torch.nn.functional.cosine_similarity(one[1], whole[1], dim=0) > 0.99
    bounds = [float(EvidenceBound(model, samples=k).train()((x.repeat(300, 1, 1, 1),)).detach()) for k in (1, 5, 50)]
    assert bounds[0] > bounds[1] > bounds[2]
    with pytest.raises(SpecError, match="got both"):
        EvidenceBound(model, samples=2, free_bits=1.0)


def test_memory_of_many_samples_is_that_of_a_piece():
    """What autograd keeps does not grow with the number of samples."""
    model, x = small()

    def kept(samples):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            EvidenceBound(model, samples=samples, together=4).train()((x,))
        return sum(sizes)

    assert kept(400) < 3 * kept(40) + 10_000


def test_the_evidence_of_a_linear_model_is_found():
    """x = w z + e with its exact posterior: the bound is tight, whatever the draw."""
    torch.manual_seed(0)
    w = torch.tensor([[1.0, 0.5], [0.2, -1.0], [0.7, 0.3]])
    noise = 0.6
    covariance = torch.linalg.inv(torch.eye(2) + w.T @ w / noise**2)
    posterior = Cholesky(Real((2,)), context=3)
    posterior.parameters_of.net.weight.data.zero_()
    posterior.parameters_of.net.weight.data.reshape(2, 3, 3)[:, 0] = covariance @ w.T / noise**2
    root = torch.linalg.cholesky(covariance)
    shape = math.sqrt(2) * root.tril(-1) / root.diagonal()[:, None]
    posterior.parameters_of.free.data[:, 1:] = shape + torch.diag(root.diagonal().log())
    decode = nn.Linear(2, 6)
    decode.weight.data = torch.cat([w, torch.zeros(3, 2)])
    raw = math.log(noise) / math.sqrt(1 - (math.log(noise) / 6) ** 2)
    decode.bias.data = torch.tensor([0.0] * 3 + [raw] * 3)
    decoder = ConditionalNormal(Real((3,)), 2, net=decode)
    model = Flow(Stochastic(Flow(Inverse(posterior), Normal(Real((2,)))), decoder), Normal(Real((2,))))
    x = torch.randn(10, 3)
    truth = torch.distributions.MultivariateNormal(torch.zeros(3), w @ w.T + noise**2 * torch.eye(3)).log_prob(x)
    assert torch.allclose(model.log_prob(x), truth, atol=1e-4)


def test_levels_add_up_to_one_and_edges_have_tails():
    torch.manual_seed(0)
    decoder = ConditionalLogistic((1,), 2, levels=7, hidden=(4,)).double()
    for shift in (-30.0, 0.0, 30.0):
        decoder.net.out.bias.data[0] = shift
        p = decoder.log_prob(
            torch.arange(7.0, dtype=torch.float64)[:, None], torch.zeros(7, 2, dtype=torch.float64)
        ).exp()
        assert float(p.sum().detach()) == pytest.approx(1, abs=1e-9)


def test_a_vae_learns_digits_and_is_saved(tmp_path):
    from sklearn.datasets import load_digits

    x = torch.as_tensor(load_digits().images[:, None] // 2).float()
    model = vae((1, 8, 8), levels=9, latent=4, hidden=(32,), posterior="planar", steps=2, warmup=50)
    assert isinstance(default_objective(model), EvidenceBound)
    before = bits_per_dimension(model, x[:200], samples=10).value
    pf.fit(model, x[200:], epochs=15, batch_size=64, lr=3e-3, progress=False)
    after = bits_per_dimension(model, x[:200], samples=10)
    assert after.value < before - 0.5
    assert after.symbol == "<="
    pf.save(tmp_path / "vae.flow", model)
    again = pf.load(tmp_path / "vae.flow").model.eval()
    assert torch.equal(log_likelihoods(again, x[:20], seed=3), log_likelihoods(model, x[:20], seed=3))


def test_grey_levels_become_new_bits_each_time():
    seen = []

    class Seen(nn.Module):
        likelihood = True

        def forward(self, batch):
            seen.append(batch[0])
            return batch[0].sum()

    objective = Binarised(Seen())
    grey = torch.full((500, 4), 0.3)
    objective((grey,))
    objective((grey,))
    assert set(seen[0].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(*seen)
    assert float(seen[0].mean()) == pytest.approx(0.3, abs=0.05)


def test_what_a_vae_refuses():
    for fields, words in (
        ({"classes": 3}, "pictures alone"),
        ({"latent": 0}, "latent >= 1"),
        ({"levels": 4, "likelihood": "bernoulli"}, "two levels"),
        ({"posterior": "normal"}, "posterior"),
        ({"hidden": ()}, "widths >= 1"),
        ({"free_bits": -1.0}, "free_bits >= 0"),
    ):
        with pytest.raises(SpecError, match=words):
            VAE(shape=SHAPE, **fields)


@pytest.mark.parametrize(("chosen", "dies"), [({}, False), ({"decoder_activation": "relu"}, True)])
def test_units_of_the_decoder_stay_alive(chosen, dies):
    """A ReLU that is off for every picture learns nothing any more; many are after some steps, so it is not the default."""
    torch.manual_seed(0)
    model = VAE(shape=(1, 8, 8), levels=17, latent=8, hidden=(200, 200), **chosen).build()
    x = torch.as_tensor(load_digits().images[:1000, None], dtype=torch.float32)
    pf.fit(model, x, validation=0, epochs=10, lr=3e-3, ema=0, progress=False)
    signals = []
    for layer in model.chain.layers[0].decoder.net.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda layer, given, made: signals.append(made.detach()))
    with torch.no_grad():
        model.log_prob(x)
    dead = max(float((h <= 0).all(0).float().mean()) for h in signals[:-1])
    assert dead > 0.3 if dies else dead < 0.15
