"""Layers of images against values by hand and Jacobians by autograd: squeezing, masks, mixing, normalising, noise."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from pushforward import systems
from pushforward.core import Box, Chain, Distribution, Flow, Integers, Inverse, Real, initialise
from pushforward.distributions import Normal, Uniform
from pushforward.errors import ShapeError, SpecError
from pushforward.evaluation import log_likelihoods
from pushforward.networks import ConvNet
from pushforward.training import fit
from pushforward.transforms import (
    LU,
    ActNorm,
    Affine,
    BatchNorm,
    Checkerboard,
    Composed,
    Coupling,
    Dequantise,
    Elementwise,
    Haar,
    Linear,
    LogisticMixture,
    Logit,
    Orthogonal,
    Permutation,
    RationalQuadratic,
    Reshape,
    Sigmoidal,
    Squeeze,
    Tokens,
    checkerboard_mask,
    half_mask,
)

DOUBLE = torch.float64
FOUR = {"shape": (1, 4, 4), "levels": 4, "alpha": 0.02}
MODELS = {
    "realnvp": systems.ImageRealNVP(**FOUR, scales=1, hidden=6, blocks=1),
    "realnvp-batch-norm": systems.ImageRealNVP(**FOUR, scales=1, hidden=6, blocks=1, norm="batch"),
    "glow": systems.Glow(**FOUR, scales=1, steps=3, hidden=6),
    "glow-full": systems.Glow(**FOUR, scales=1, steps=3, hidden=6, mixing="full"),
    "glow-orthogonal": systems.Glow(**FOUR, scales=1, steps=3, hidden=6, mixing="orthogonal", coupling="additive"),
    "glow-reverse": systems.Glow(**FOUR, scales=1, steps=4, hidden=6, mixing="reverse"),
    "nsf": systems.ImageNSF(**FOUR, scales=1, steps=3, hidden=6, blocks=1, bins=3),
    "flowpp": systems.FlowPP(
        **FOUR, first=2, middle=1, last=1, hidden=4, blocks=1, heads=2, components=2, dequantise="uniform"
    ),
    "jet": systems.Jet(**FOUR, layers=10, hidden=8, blocks=1, heads=2),
    "tarflow": systems.TarFlow(**FOUR, layers=3, hidden=8, blocks=1, heads=2),
    "nice": systems.ImageNICE(**FOUR, hidden=(8,)),
}


@pytest.fixture(autouse=True)
def double_precision():
    """Rotations made in float32 are rotations up to its rounding only."""
    torch.set_default_dtype(DOUBLE)
    yield
    torch.set_default_dtype(torch.float32)


def shaken(node, seed=0, spread=0.2):
    """In float64 and evaluation mode, every parameter moved off its start."""
    generator = torch.Generator().manual_seed(seed)
    node.to(DOUBLE).eval()
    for p in node.parameters():
        terms = p[0].numel() if p.dim() > 1 else 4
        p.data += spread / max(terms, 4) ** 0.5 * torch.randn(p.shape, dtype=DOUBLE, generator=generator)
    return node


def continuous(name):
    """What follows the dequantisation in a model with random weights: from the unit box to the line."""
    torch.manual_seed(1)
    return Chain(*shaken(MODELS[name].build()).chain.layers[1:])


def inside(rows, shape, seed=2):
    return 0.05 + 0.9 * torch.rand(rows, *shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def jacobian(layer, x):
    found = torch.autograd.functional.jacobian(lambda v: layer(v)[0], x[None])
    return found.reshape(layer.z_space.size, layer.x_space.size)


# Layers that move numbers


def test_squeeze_by_hand():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    z = Squeeze(Real((1, 4, 4)))(x)[0]
    assert z[0].tolist() == [[[0, 2], [8, 10]], [[1, 3], [9, 11]], [[4, 6], [12, 14]], [[5, 7], [13, 15]]]
    two = torch.stack([x[0, 0], 100 + x[0, 0]])[None]
    z = Squeeze(Real((2, 4, 4)))(two)[0]
    assert z[0, :, 0, 0].tolist() == [0, 1, 4, 5, 100, 101, 104, 105]


def test_checkerboard_by_hand():
    x = torch.arange(8.0).reshape(1, 1, 2, 4)
    assert Checkerboard(Real((1, 2, 4)))(x)[0][0].tolist() == [[[0, 2], [5, 7]], [[1, 3], [4, 6]]]


def test_the_checkerboard_mask_and_layer_part_the_same_positions():
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    passed = torch.tensor(checkerboard_mask(3, 4))
    even = Checkerboard(Real((2, 3, 4)))(x)[0][0, :2].flatten()
    assert set(even.tolist()) == set(x[0][:, ~passed].flatten().tolist())


def test_tokens_by_hand():
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert Tokens(Real((2, 2, 2)))(x)[0][0].tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]


@pytest.mark.parametrize("make", [Squeeze, Checkerboard, Tokens, Haar])
def test_no_rows_pass_both_ways(make):
    layer = make(Real((2, 4, 6)))
    z, dlogp = layer(torch.zeros(0, 2, 4, 6))
    assert tuple(z.shape) == (0, *layer.z_space.shape)
    back, again = layer.inverse(z)
    assert tuple(back.shape) == (0, 2, 4, 6)
    assert dlogp.shape == again.shape == (0,)


@pytest.mark.parametrize(
    ("make", "shape", "says"),
    [
        (Squeeze, (1, 3, 4), r"height and width that 2 divides, got 3 x 4; pad or resize"),
        (Squeeze, (1, 4, 5), r"got 4 x 5"),
        (Checkerboard, (1, 4, 3), r"expected an even width, got 4 x 3"),
        (Haar, (1, 4, 5), r"expected an even height and width, got 4 x 5"),
        (Squeeze, (4,), r"expected a space of images"),
        (Tokens, (4, 4), r"expected a space of images"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, shape, says):
    with pytest.raises(ShapeError, match=says):
        make(Real(shape))


def test_masks_that_do_not_fit_are_refused():
    space = Real((2, 4, 4))
    with pytest.raises(SpecError, match=r"a mask of 4 x 4 positions"):
        Coupling(Affine(), space, checkerboard_mask(4, 6), ConvNet)
    with pytest.raises(SpecError, match=r"one boolean for each coordinate"):
        Coupling(Affine(), space, [True, False, True], ConvNet)


# Which pixels are transformed, and which they see


@pytest.mark.parametrize("name", MODELS)
def test_every_latent_number_depends_on_every_pixel(name):
    layer = continuous(name)
    for x in inside(2, (1, 4, 4)):
        assert float(jacobian(layer, x).abs().min()) > 1e-12


def moved_by_couplings(chain):
    """For each coupling, the pixels whose numbers it changes: until the first layer that mixes numbers."""
    places = torch.arange(chain.x_space.size, dtype=DOUBLE).reshape(1, *chain.x_space.shape)
    layers = [part for layer in chain.layers for part in (layer.layers if isinstance(layer, Chain) else [layer])]
    for layer in layers:
        if isinstance(layer, Coupling):
            v = torch.randn(1, *layer.x_space.shape, dtype=DOUBLE)
            yield set(places[layer(v)[0] != v].long().tolist())
        elif isinstance(layer, (Squeeze, Checkerboard, Reshape, Permutation, Inverse)):
            places = layer(places)[0]
        elif isinstance(layer, (Linear, LU, Orthogonal)):
            return


@pytest.mark.parametrize("name", ["realnvp", "glow-reverse", "flowpp", "nice"])
def test_two_couplings_in_a_row_transform_every_pixel(name):
    moved = list(moved_by_couplings(continuous(name)))
    assert len(moved) >= 2
    for a, b in pairwise(moved):
        assert a | b == set(range(16))
        assert a != b


def test_the_multi_scale_model_transforms_every_pixel_at_each_stage():
    spec = systems.ImageRealNVP(shape=(1, 8, 8), levels=4, scales=2, hidden=4, blocks=1)
    torch.manual_seed(0)
    layers = [m for m in shaken(spec.build()).chain.layers if isinstance(m, Coupling)]
    assert [tuple(m.x_space.shape) for m in layers] == [(1, 8, 8)] * 3 + [(4, 4, 4)] * 3 + [(2, 4, 4)] * 4
    for a, b in pairwise(layers):
        if a.x_space == b.x_space:
            v = torch.randn(1, *a.x_space.shape, dtype=DOUBLE)
            assert bool(((a(v)[0] != v) | (b(v)[0] != v)).all())


def test_random_masks_transform_every_pixel_within_five_couplings():
    moved = list(moved_by_couplings(continuous("jet")))
    assert len(moved) == 10
    assert set().union(*moved[:5]) == set().union(*moved[5:]) == set(range(16))
    assert all(len(places) == 8 for places in moved)


@pytest.mark.parametrize("mask", [checkerboard_mask(4, 4), checkerboard_mask(4, 4, flip=True)])
def test_a_coupling_sees_what_passes_only(mask):
    torch.manual_seed(0)
    layer = shaken(Coupling(Affine(), Real((2, 4, 4)), mask, lambda i, o, context: ConvNet(i, o, hidden=6)))
    passed = torch.tensor(mask).expand(2, 4, 4).flatten()
    found = jacobian(layer, torch.randn(2, 4, 4, dtype=DOUBLE))
    assert torch.equal(found[passed], torch.eye(32, dtype=DOUBLE)[passed])
    mapped = found[~passed][:, ~passed]
    assert torch.equal(mapped, torch.diag(mapped.diagonal()))
    assert float((mapped.diagonal() - 1).abs().min()) > 1e-6
    seen = found[~passed][:, passed].ne(0)
    assert bool(seen.any(0).all())
    assert bool(seen.any(1).all())


# Log-determinants of whole chains


@pytest.mark.parametrize("name", MODELS)
def test_log_determinant_of_a_model_on_4x4(name):
    layer = continuous(name)
    x = inside(3, (1, 4, 4))
    expected = torch.stack([torch.linalg.slogdet(jacobian(layer, v))[1] for v in x])
    torch.testing.assert_close(layer(x)[1], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x, rtol=0, atol=1e-8)


def mixed_up(size):
    """Every layer that mixes or scales channels, in one chain."""
    space = Real((2, size, size))
    squeezed = Real((8, size // 2, size // 2))

    def network(inputs, outputs, context):
        return ConvNet(inputs, outputs, hidden=6)

    return Chain(
        Linear(space),
        ActNorm(space, channels=True),
        Coupling(Sigmoidal(), space, checkerboard_mask(size, size), network),
        Haar(space),
        LU(squeezed, rotation=True),
        BatchNorm(squeezed, channels=True),
        Coupling(Composed(LogisticMixture(2), Affine()), squeezed, half_mask(8), network),
        Orthogonal(squeezed, rotation=True),
        Coupling(RationalQuadratic(3, 3.0), squeezed, half_mask(8, flip=True), network),
    )


@pytest.mark.parametrize("size", [2, 4])
def test_log_determinant_of_a_chain_of_mixing_layers(size):
    torch.manual_seed(3)
    layer = shaken(mixed_up(size))
    x = torch.randn(2, 2, size, size, dtype=DOUBLE)
    expected = torch.stack([torch.linalg.slogdet(jacobian(layer, v))[1] for v in x])
    torch.testing.assert_close(layer(x)[1], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x, rtol=0, atol=1e-8)


@pytest.mark.parametrize("make", [Linear, lambda s: LU(s, rotation=True), lambda s: Orthogonal(s, rotation=True)])
def test_one_by_one_convolutions_start_as_rotations(make):
    torch.manual_seed(0)
    layer = make(Real((6, 1, 1))).to(DOUBLE)
    matrix = jacobian(layer, torch.zeros(6, 1, 1, dtype=DOUBLE))
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(6, dtype=DOUBLE), rtol=0, atol=1e-6)
    assert float((matrix - torch.eye(6, dtype=DOUBLE)).abs().max()) > 0.1
    torch.testing.assert_close(
        layer(torch.zeros(1, 6, 1, 1, dtype=DOUBLE))[1], torch.zeros(1, dtype=DOUBLE), atol=1e-5, rtol=0
    )


def test_a_one_by_one_convolution_is_the_same_at_every_position():
    torch.manual_seed(0)
    layer = shaken(Linear(Real((3, 4, 4))))
    x = torch.randn(2, 3, 4, 4, dtype=DOUBLE)
    by_hand = np.einsum("oc,bchw->bohw", layer.weight.detach().numpy(), x.numpy())
    np.testing.assert_allclose(layer(x)[0].detach().numpy(), by_hand, atol=1e-12)
    expected = 16 * np.linalg.slogdet(layer.weight.detach().numpy())[1]
    np.testing.assert_allclose(layer(x)[1].detach().numpy(), [expected] * 2)


def test_haar_by_hand():
    layer = Haar(Real((2, 4, 4))).to(DOUBLE)
    x = torch.randn(3, 2, 4, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    z = layer(x)[0]
    matrix = jacobian(layer, x[0])
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(32, dtype=DOUBLE), rtol=0, atol=1e-12)
    torch.testing.assert_close(z.square().flatten(1).sum(1), x.square().flatten(1).sum(1))
    torch.testing.assert_close(z[:, :2], 2 * torch.nn.functional.avg_pool2d(x, 2))
    a, b, c, d = x[:, 1, 0, 0], x[:, 1, 0, 1], x[:, 1, 1, 0], x[:, 1, 1, 1]
    torch.testing.assert_close(z[:, 3, 0, 0], (a - b + c - d) / 2)
    torch.testing.assert_close(z[:, 5, 0, 0], (a + b - c - d) / 2)
    torch.testing.assert_close(z[:, 7, 0, 0], (a - b - c + d) / 2)


# Normalisation


def channel_moments(x):
    return x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)


def test_batch_norm_of_channels_in_both_modes():
    layer = BatchNorm(Real((2, 3, 3)), 0.25, channels=True).to(DOUBLE)
    slope = torch.tensor([2.0, 0.5], dtype=DOUBLE)[:, None, None]
    x = 1 + slope * torch.randn(5, 2, 3, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    mean, variance = channel_moments(x)
    layer.train()
    z, dlogp = layer(x)
    # The averages after the batch: a quarter of it, three quarters of the start, 0 and 1.
    mean, variance = 0.25 * mean, 0.75 + 0.25 * variance
    torch.testing.assert_close(layer.mean.flatten(), mean)
    torch.testing.assert_close(layer.variance.flatten(), variance)
    scale = (variance + 1e-5).sqrt()
    torch.testing.assert_close(z, (x - mean[:, None, None]) / scale[:, None, None])
    torch.testing.assert_close(dlogp, -9 * scale.log().sum().expand(5))
    torch.testing.assert_close(layer.inverse(z)[0], x)
    layer.eval()
    stored = layer.mean.clone()
    other = x + 3
    z, dlogp = layer(other)
    assert torch.equal(layer.mean, stored)
    torch.testing.assert_close(z, (other - mean[:, None, None]) / scale[:, None, None])
    torch.testing.assert_close(dlogp, -9 * scale.log().sum().expand(5))
    back, opposite = layer.inverse(z)
    torch.testing.assert_close(back, other)
    torch.testing.assert_close(opposite, -dlogp)


def test_batch_norm_has_the_gradient_of_the_batch_in_training():
    layer = BatchNorm(Real((1, 2, 2)), 0.5, channels=True).to(DOUBLE).train()
    x = torch.randn(3, 1, 2, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (found,) = torch.autograd.grad(layer(x)[1].sum(), x)
    by_hand = x.detach().clone().requires_grad_()
    variance = 0.5 + 0.5 * by_hand.var(unbiased=False)
    (expected,) = torch.autograd.grad(-3 * 4 * (variance + 1e-5).log() / 2, by_hand)
    torch.testing.assert_close(found, expected)


def test_actnorm_of_channels_starts_from_all_positions():
    """Positions of different means: the deviation is that of the channel, not of a position."""
    layer = ActNorm(Real((2, 2, 2)), channels=True).to(DOUBLE)
    ramp = torch.arange(4.0, dtype=DOUBLE).reshape(2, 2)
    x = 5 * ramp + torch.randn(6, 2, 2, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    layer.init_from(x)
    mean, variance = channel_moments(x)
    torch.testing.assert_close(layer.loc.flatten(), mean)
    torch.testing.assert_close(layer.log_scale.flatten(), (variance + 1e-5).log() / 2)


def glow(seed=0):
    torch.manual_seed(seed)
    return systems.Glow(shape=(1, 4, 4), levels=4, scales=2, steps=1, hidden=4).build()


def levels(rows, seed=0):
    weights = torch.tensor([0.5, 0.3, 0.1, 0.1])
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.multinomial(weights.expand(rows, 4), 16, replacement=True, generator=generator)
        .reshape(-1, 1, 4, 4)
        .to(DOUBLE)
    )


def starts(model):
    return torch.cat([m.loc.detach().flatten() for m in model.modules() if isinstance(m, ActNorm)])


def test_actnorm_starts_once():
    model = glow()
    assert not starts(model).any()
    initialise(model, levels(32))
    first = starts(model).clone()
    assert bool((first != 0).all())
    initialise(model, levels(32, seed=1))
    assert torch.equal(starts(model), first)


def test_actnorm_in_a_loaded_model_does_not_start_again():
    model, fresh = glow(), glow(seed=1)
    initialise(model, levels(32))
    fresh.load_state_dict(model.state_dict())
    initialise(fresh, levels(32, seed=1))
    assert torch.equal(starts(fresh), starts(model))


def test_actnorm_does_not_start_again_on_resume(tmp_path):
    path = tmp_path / "run.ckpt"
    options = {"batch_size": 16, "progress": False, "validation": 8, "ema": 0, "lr": 1e-2}
    whole, part, again = glow(), glow(), glow(seed=1)
    fit(whole, levels(40), epochs=2, **options)
    fit(part, levels(40), epochs=1, checkpoint=path, **options)
    fit(again, levels(40), epochs=2, resume=path, **options)
    assert torch.equal(starts(again), starts(whole))
    for layer in again.modules():
        if isinstance(layer, ActNorm):
            layer.started.fill_(False)
    initialise(again, levels(40))
    assert bool((starts(again) != starts(whole)).all())


# From levels to the line


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("alpha", [0.05, 1e-6])
def test_logit_of_both_conventions_by_hand(symmetric, alpha):
    """Bits per dimension with the preprocessing, as published: 8 - log2 of the slope's and the logit's derivatives."""
    shape, k = (1, 2, 3), 256
    space, box = Integers(shape, 0, k - 1), Box(shape, 0.0, 1.0)
    model = Flow(Chain(Dequantise(space), Logit(box, alpha, symmetric=symmetric)), Normal(Real(shape))).to(DOUBLE)
    x = torch.randint(0, k, (7, *shape), generator=torch.Generator().manual_seed(0)).to(DOUBLE)
    torch.manual_seed(5)
    logp = model.log_prob(x).numpy()
    torch.manual_seed(5)
    y = model.chain.layers[0](x)[0].numpy()
    np.testing.assert_array_equal(np.floor(y * k), x.numpy())
    slope = 1 - 2 * alpha if symmetric else 1 - alpha
    u = alpha + slope * y
    z = np.log(u) - np.log1p(-u)
    normal = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    bits = -(normal - np.log(u) - np.log1p(-u) + np.log(slope)).sum((1, 2, 3)) / (6 * np.log(2)) + 8
    np.testing.assert_allclose(-logp / (6 * np.log(2)), bits, rtol=1e-10)


def tailored(noise=None, seed=0):
    """A model of 2 pixels of 3 levels with a known probability of every picture, and those probabilities."""
    torch.manual_seed(seed)
    space, box = Integers((2,), 0, 2), Box((2,), 0.0, 1.0)
    warp = Elementwise(RationalQuadratic(4, low=0.0, high=1.0), box)
    torch.nn.init.normal_(warp.free)
    model = Flow(Chain(Dequantise(space, noise), warp), Uniform(box)).to(DOUBLE)
    edges = torch.linspace(0, 1, 4, dtype=DOUBLE)[:, None].expand(4, 2)
    shares = warp(edges)[0].diff(dim=0).detach()  # the spline is the distribution function of each pixel
    return model, shares


def noise_flow(seed=1):
    """Noise on the unit square that is given the levels."""
    torch.manual_seed(seed)
    box = Box((2,), 0.0, 1.0)
    warp = Elementwise(RationalQuadratic(3, low=0.0, high=1.0), box, context=2, hidden=(8,))
    for p in warp.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return Flow(Chain(warp), Uniform(box))


@pytest.mark.parametrize("make_noise", [lambda: None, noise_flow])
def test_dequantised_models_are_bounds_of_a_known_likelihood(make_noise):
    model, shares = tailored(make_noise())
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3)).to(DOUBLE)
    truth = shares[x[:, 0].long(), 0].log() + shares[x[:, 1].long(), 1].log()
    one = log_likelihoods(model, x.repeat(2000, 1)).reshape(2000, 9)
    mean, error = one.mean(0), one.std(0) / math.sqrt(2000)
    assert bool((mean < truth - 2 * error).all())
    averaged = one.logsumexp(0) - math.log(2000)
    torch.testing.assert_close(averaged, truth, rtol=0, atol=0.12)
    assert bool((mean < averaged).all())


def test_the_best_noise_makes_the_bound_tight():
    """With the model's own conditional density as noise, every draw gives the exact probability."""
    model, shares = tailored()

    class Posterior(Distribution):
        """Noise with the density of the model within the level."""

        def __init__(self):
            super().__init__()
            self.space, self.context, self.warp = Box((2,), 0.0, 1.0), Real((2,)), model.chain.layers[1]

        def _log_prob(self, u, context):
            slopes = self.warp.scalar.forward((context + u) / 3, self.warp._parameters_of(u, None))[1]
            return (slopes - math.log(3) - self._shares(context).log()).sum(1)

        def _sample(self, n, context):
            low = self.warp(context / 3)[0]
            u = 3 * self.warp.inverse(low + torch.rand_like(low) * self._shares(context))[0] - context
            u = u.clamp(0, 1 - 1e-12)
            return u, self._log_prob(u, context)

        def _shares(self, context):
            return torch.stack([shares[context[:, i].long(), i] for i in range(2)], 1)

    exact = Flow(Chain(Dequantise(Integers((2,), 0, 2), Posterior()), model.chain.layers[1]), model.base)
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3)).to(DOUBLE)
    truth = shares[x[:, 0].long(), 0].log() + shares[x[:, 1].long(), 1].log()
    with torch.no_grad():
        torch.testing.assert_close(exact.log_prob(x), truth, rtol=1e-9, atol=1e-9)
