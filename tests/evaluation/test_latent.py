"""Bits per dimension of models whose entropy is known, and latent codes: taken apart, put together, moved between."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from pushforward import systems
from pushforward.core import Box, Categories, Chain, Distribution, Flow, Integers, Inverse, Real, Transform
from pushforward.distributions import AutoregressiveCategorical, Normal, Uniform
from pushforward.errors import ContextError, DataError, ShapeError, SpecError
from pushforward.evaluation import (
    attribute,
    bits_per_dimension,
    decode,
    draw,
    encode,
    interpolate,
    log_likelihoods,
    nearest,
    resample,
    shift,
)
from pushforward.transforms import Dequantise, Elementwise, RationalQuadratic, Slice

DOUBLE = torch.float64
K = 5
PICTURE = (1, 2, 2)


class Independent(Distribution):
    """Pixels with probabilities of their own for each of K levels."""

    def __init__(self, probabilities):
        super().__init__()
        self.space = Integers(PICTURE, 0, K - 1)
        self.register_buffer("p", probabilities)

    def _log_prob(self, x, context):
        return self.p.log().gather(1, x.flatten(1).mT.long()).sum(0)

    def _sample(self, n, context):
        x = torch.multinomial(self.p, n, replacement=True).mT.reshape(n, *PICTURE).to(self.p.dtype)
        return x, self._log_prob(x, context)


class Steps(Transform):
    """The distribution function of a histogram of K bins for each pixel: its density is constant within every level."""

    def __init__(self, probabilities):
        super().__init__()
        self.x_space = self.z_space = Box(PICTURE, 0.0, 1.0)
        self.register_buffer("p", probabilities)

    def _of_level(self, y, level):
        p = self.p.gather(1, level.flatten(1).mT).mT.reshape(y.shape)
        before = (self.p.cumsum(1) - self.p).gather(1, level.flatten(1).mT).mT.reshape(y.shape)
        return p, before

    def forward(self, x, context=None):
        level = (x * K).floor().clamp(0, K - 1).long()
        p, before = self._of_level(x, level)
        return before + p * (x * K - level), (p * K).log().flatten(1).sum(1)

    def inverse(self, z, context=None):
        ends = self.p.cumsum(1)[:, :-1].contiguous()
        level = torch.searchsorted(ends, z.flatten(1).mT.contiguous(), right=True).mT.reshape(z.shape)
        p, before = self._of_level(z, level)
        return (level + (z - before) / p) / K, -(p * K).log().flatten(1).sum(1)


def probabilities(seed=0):
    p = 0.1 + torch.rand(4, K, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))
    return p / p.sum(1, keepdim=True)


def everything():
    """All pictures of 2 x 2 pixels with K levels."""
    return torch.cartesian_prod(*[torch.arange(K)] * 4).reshape(-1, *PICTURE).to(DOUBLE)


def entropy(p):
    return float(-(p * p.log2()).sum(1).mean())


# Bits per dimension


def test_bits_of_an_independent_model_are_its_entropy():
    p = probabilities()
    model, x = Independent(p), everything()
    weights = model.log_prob(x).exp()
    assert float(weights.sum()) == pytest.approx(1)
    each = -log_likelihoods(model, x) / (4 * math.log(2))
    assert float((weights * each).sum()) == pytest.approx(entropy(p), abs=1e-12)
    # The same as a mean: pictures in proportion to their probabilities, all pixels 0 or 1 with 1/4 and 3/4.
    quarters = torch.tensor([0.25, 0.75, 0, 0, 0], dtype=DOUBLE).expand(4, K).contiguous()
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1, 1, 1])] * 4).reshape(-1, *PICTURE)
    found = bits_per_dimension(Independent(quarters), x)
    assert found.value == pytest.approx(2 - 0.75 * math.log2(3), abs=1e-12)
    assert (found.symbol, found.samples, found.events, found.impossible) == ("=", 1, 256, 0)


def test_bits_of_an_autoregressive_model_are_those_of_its_probabilities():
    torch.manual_seed(0)
    model = AutoregressiveCategorical((3, 2, 4), hidden=(8,)).double()
    for p in model.parameters():
        nn.init.normal_(p, std=0.5)
    x = torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(4))
    found = bits_per_dimension(model, x)
    expected = -model.log_prob(x).detach().numpy() / (3 * np.log(2))
    assert found.value == pytest.approx(expected.mean(), abs=1e-12)
    assert found.error == pytest.approx(expected.std(ddof=1) / math.sqrt(24), abs=1e-12)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_a_uniform_model_takes_log2_of_the_levels(levels):
    space = Integers((3, 2, 2), 0, levels - 1)
    model = Flow(Dequantise(space), Uniform(Box((3, 2, 2), 0.0, 1.0)))
    x = torch.randint(0, levels, (9, 3, 2, 2), generator=torch.Generator().manual_seed(0)).float()
    for samples in (1, 3):
        found = bits_per_dimension(model, x, samples=samples)
        assert found.value == pytest.approx(math.log2(levels), abs=1e-6)
        assert found.symbol == "<="
        assert found.samples == samples


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_density_constant_within_levels_makes_the_bound_the_cross_entropy(seed):
    """Independent pixels of known probabilities q, a model of others p: sum q log2 1/p in every single draw of noise."""
    p, q = probabilities(), probabilities(1)
    model = Flow(Chain(Dequantise(Integers(PICTURE, 0, K - 1)), Steps(p)), Uniform(Box(PICTURE, 0.0, 1.0)))
    x = everything()
    weights = Independent(q).log_prob(x).exp()
    bits = -log_likelihoods(model, x, seed=seed) / (4 * math.log(2))
    assert float((weights * bits).sum()) == pytest.approx(float(-(q * p.log2()).sum(1).mean()), abs=1e-6)
    torch.testing.assert_close(bits, -Independent(p).log_prob(x) / (4 * math.log(2)), rtol=0, atol=1e-6)
    drawn, logp = model.sample_and_log_prob(500)
    torch.testing.assert_close(logp, Independent(p).log_prob(drawn), rtol=0, atol=1e-6)


def bent(seed=0):
    """A dequantised model that bends within the levels, and its exact probabilities of all pictures."""
    torch.manual_seed(seed)
    box = Box(PICTURE, 0.0, 1.0)
    warp = Elementwise(RationalQuadratic(4, low=0.0, high=1.0), box).double()
    nn.init.normal_(warp.free)
    edges = torch.linspace(0, 1, K + 1, dtype=DOUBLE)[:, None].expand(K + 1, 4).reshape(-1, *PICTURE)
    shares = warp(edges)[0].detach().flatten(1).diff(dim=0).mT
    return Flow(Chain(Dequantise(Integers(PICTURE, 0, K - 1)), warp), Uniform(box)), Independent(shares.contiguous())


@pytest.mark.parametrize("seed", range(4))
def test_more_draws_come_closer_to_the_truth_from_above(seed):
    model, exact = bent()
    x = everything()
    truth = bits_per_dimension(exact, x).value
    found = [bits_per_dimension(model, x, samples=k, seed=seed) for k in (1, 8, 64)]
    assert found[0].value > found[1].value > found[2].value > truth - 1e-3
    assert found[2].value - truth < 0.1 * (found[0].value - truth)
    assert [f.symbol for f in found] == ["<="] * 3
    assert bits_per_dimension(model, x, samples=8, seed=seed) == found[1]


def test_the_error_is_that_of_a_mean_over_events():
    model, _ = bent()
    x = everything()[:50]
    found = bits_per_dimension(model, x, samples=4, seed=3)
    each = -log_likelihoods(model, x, samples=4, seed=3).numpy() / (4 * np.log(2))
    assert found.error == pytest.approx(each.std(ddof=1) / math.sqrt(50), rel=1e-9)
    assert math.isnan(bits_per_dimension(model, x[:1]).error)
    assert str(found) == f"<= {found.value:.4f} ± {found.error:.4f} bits/dim (50 events, 4 draws each)"


def test_scoring_leaves_the_random_state_alone():
    model, _ = bent()
    before = torch.get_rng_state()
    bits_per_dimension(model, everything()[:5], samples=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_impossible_events_are_counted_and_left_out():
    p = torch.full((4, K), 0.25, dtype=DOUBLE)
    p[:, 4] = 0
    x = torch.zeros(5, *PICTURE, dtype=DOUBLE)
    x[3, 0, 1, 1] = 4
    found = bits_per_dimension(Independent(p), x)
    assert (found.value, found.impossible, found.events) == (pytest.approx(2.0), 1, 5)
    assert "1 impossible ones left out" in str(found)
    assert bits_per_dimension(Independent(p), x[3:4]).value == math.inf


def test_densities_have_no_bits_per_dimension():
    with pytest.raises(SpecError, match="expected a model of discrete events"):
        bits_per_dimension(Normal(Real(PICTURE)), torch.zeros(3, *PICTURE))
    with pytest.raises(SpecError, match="samples >= 1"):
        bits_per_dimension(bent()[0], everything()[:3], samples=0)
    with pytest.raises(DataError):
        bits_per_dimension(bent()[0], torch.zeros(3, 1, 3, 3))


# Latent codes

TINY = {"shape": (1, 8, 8), "levels": 17}
IMAGE_SYSTEMS = {
    "nice-image": systems.ImageNICE,
    "realnvp-image": systems.ImageRealNVP,
    "glow": systems.Glow,
    "nsf-image": systems.ImageNSF,
    "flowpp": systems.FlowPP,
    "jet": systems.Jet,
    "tarflow": systems.TarFlow,
}


def image_model(name, seed=0, spread=0.1, **fields):
    """A tiny model in float64 with every weight moved off its start."""
    torch.manual_seed(seed)
    model = IMAGE_SYSTEMS[name].preset("tiny", **{**TINY, **fields}).build().double()
    for p in model.parameters():
        terms = p[0].numel() if p.dim() > 1 else 4
        p.data += spread / max(terms, 4) ** 0.5 * torch.randn(p.shape, dtype=DOUBLE)
    return model


def pictures(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 17, (rows, 1, 8, 8), generator=generator).to(DOUBLE)


@pytest.mark.parametrize("name", IMAGE_SYSTEMS)
def test_pictures_are_decoded_from_their_codes(name):
    model, x = image_model(name), pictures(4)
    codes = encode(model, x)
    assert sum(code[0].numel() for code in codes) == 64
    assert torch.equal(decode(model, codes), x)
    assert len(codes) == {"realnvp-image": 2, "glow": 2}.get(name, 1)
    assert encode(model, x[:0])[0].shape[0] == 0


@pytest.mark.parametrize("name", ["glow", "realnvp-image", "tarflow"])
def test_codes_of_draws_are_standard_normal(name):
    model = image_model(name)
    torch.manual_seed(1)
    codes = encode(model, draw(model, 300))
    shapes = {"glow": [(2, 4, 4), (8, 2, 2)], "realnvp-image": [(2, 4, 4), (2, 4, 4)], "tarflow": [(16, 4)]}
    assert [tuple(code.shape[1:]) for code in codes] == shapes[name]
    drawn = torch.cat([code.flatten() for code in codes])
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05
    continuous = Flow(Chain(*model.chain.layers[1:]), model.base)
    exact = torch.cat([code.flatten() for code in encode(continuous, draw(continuous, 300))])
    assert abs(float((exact**4).mean()) - 3) < 0.2


def test_the_temperature_multiplies_the_codes():
    model = image_model("glow")
    continuous = Flow(Chain(*model.chain.layers[1:]), model.base)
    torch.manual_seed(3)
    hot = encode(continuous, draw(continuous, 5))
    torch.manual_seed(3)
    cold = encode(continuous, draw(continuous, 5, temperature=0.5))
    for a, b in zip(hot, cold, strict=True):
        torch.testing.assert_close(b, a * 0.5, rtol=0, atol=1e-6)


def test_at_temperature_zero_all_draws_are_the_mode_of_the_bases():
    model = image_model("glow")
    found = draw(model, 3, temperature=0.0)
    zeros = [torch.zeros_like(code) for code in encode(model, found)]
    assert torch.equal(found, decode(model, zeros))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(*draw(model, 2))


def test_at_temperature_one_draws_are_samples():
    model = image_model("glow")
    torch.manual_seed(4)
    found = draw(model, 6)
    torch.manual_seed(4)
    assert torch.equal(found, model.eval().sample(6))


def test_a_temperature_needs_the_real_line():
    box = Box(PICTURE, 0.0, 1.0)
    model = Flow(Dequantise(Integers(PICTURE, 0, 4)), Uniform(box))
    assert draw(model, 3).shape == (3, *PICTURE)
    with pytest.raises(SpecError, match="expected temperature 1 for a model with a base on Box"):
        draw(model, 3, temperature=0.7)
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(SpecError, match="temperature >= 0"):
            draw(model, 3, temperature=bad)


def random_codes(rows=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, *shape, dtype=DOUBLE, generator=generator) for shape in ((2, 3), (4,))]


def flat(codes):
    return torch.cat([code.flatten(1) for code in codes], 1)


def test_spherical_interpolation_keeps_lengths_and_speed():
    a, b = random_codes(), random_codes(seed=1)
    ratio = float(flat(a).norm() / flat(b).norm())
    b = [ratio * code for code in b]
    path = flat(interpolate(a, b, 7))
    torch.testing.assert_close(path.norm(dim=1), flat(a).norm().expand(7))
    torch.testing.assert_close(path[:1], flat(a))
    torch.testing.assert_close(path[-1:], flat(b))
    angles = torch.nn.functional.cosine_similarity(path[1:], path[:-1]).arccos()
    torch.testing.assert_close(angles, angles[:1].expand(6))
    assert float((path - flat(interpolate(a, b, 7, spherical=False))).abs().max()) > 0.1


def test_spherical_interpolation_of_other_lengths_and_of_parallel_codes():
    a = random_codes()
    doubled = [2 * code for code in a]
    path = flat(interpolate(a, doubled, 5))
    torch.testing.assert_close(path, flat(a) * torch.linspace(1, 2, 5, dtype=DOUBLE)[:, None])
    b = [3 * code for code in random_codes(seed=1)]
    lengths = flat(interpolate(a, b, 3)).norm(dim=1)
    torch.testing.assert_close(lengths[1], (lengths[0] + lengths[2]) / 2)
    zero = [torch.zeros_like(code) for code in a]
    assert bool(flat(interpolate(zero, a, 3)).isfinite().all())


def test_linear_interpolation_is_linear():
    a, b = random_codes(), random_codes(seed=1)
    path = interpolate(a, b, 5, spherical=False)
    assert [tuple(code.shape) for code in path] == [(5, 2, 3), (5, 4)]
    t = torch.linspace(0, 1, 5, dtype=DOUBLE)[:, None]
    torch.testing.assert_close(flat(path), (1 - t) * flat(a) + t * flat(b))


def test_the_ends_of_an_interpolation_are_the_pictures():
    model, x = image_model("glow"), pictures(2)
    codes = encode(model, x)
    a, b = ([code[i : i + 1] for code in codes] for i in range(2))
    for spherical in (True, False):
        strip = decode(model, interpolate(a, b, 4, spherical=spherical))
        assert torch.equal(strip[0], x[0])
        assert torch.equal(strip[-1], x[1])


def test_interpolations_that_make_no_sense_are_refused():
    a = random_codes()
    with pytest.raises(SpecError, match="at least 2 steps, got 1"):
        interpolate(a, a, 1)
    with pytest.raises(ShapeError, match="codes of one event each"):
        interpolate(random_codes(2), random_codes(2), 3)
    with pytest.raises(ShapeError, match="of the same model"):
        interpolate(a, a[:1], 3)


def test_an_attribute_is_the_shift_of_the_codes_that_have_it():
    codes = random_codes(4000)
    planted = random_codes(seed=9)
    labels = torch.arange(4000) % 3 == 0
    moved = [
        code + labels.reshape(-1, *(1 for _ in code.shape[1:])) * part
        for code, part in zip(codes, planted, strict=True)
    ]
    found = attribute(moved, labels)
    torch.testing.assert_close(flat(found), flat(planted), rtol=0, atol=0.15)
    exact = [code[labels].mean(0) - code[~labels].mean(0) + part[0] for code, part in zip(codes, planted, strict=True)]
    torch.testing.assert_close(found[0][0], exact[0])
    torch.testing.assert_close(found[1][0], exact[1])
    back = shift(moved, planted, -1.0)
    torch.testing.assert_close(back[0][labels], codes[0][labels])
    torch.testing.assert_close(flat(shift(codes, planted, 0.5)), flat(codes) + 0.5 * flat(planted))


@pytest.mark.parametrize("labels", [torch.zeros(5), torch.ones(5)])
def test_an_attribute_needs_events_with_and_without(labels):
    with pytest.raises(SpecError, match="with and without the attribute"):
        attribute(random_codes(5), labels)


@pytest.mark.parametrize("name", ["glow", "realnvp-image"])
def test_resampling_keeps_the_coarsest_codes(name):
    model = image_model(name)
    continuous = Flow(Chain(*model.chain.layers[1:]), model.base)
    x = 0.05 + 0.9 * torch.rand(5, 1, 8, 8, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    again = resample(continuous, x, keep=1)
    before, after = encode(continuous, x), encode(continuous, again)
    torch.testing.assert_close(after[1], before[1], rtol=0, atol=1e-6)
    assert float((after[0] - before[0]).abs().min()) > 1e-6
    torch.testing.assert_close(continuous.encode(again), continuous.encode(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(resample(continuous, x, keep=2), x, rtol=0, atol=1e-8)
    levels = pictures(5)
    assert torch.equal(resample(model, levels, keep=2), levels)
    assert not torch.equal(resample(model, levels, keep=1), levels)
    for keep in (0, 3):
        with pytest.raises(SpecError, match="keep 1 to 2 codes"):
            resample(model, levels, keep=keep)


def test_nearest_is_that_of_brute_force():
    generator = torch.Generator().manual_seed(0)
    x, among = torch.rand(70, 1, 3, 3, generator=generator), torch.rand(4200, 1, 3, 3, generator=generator)
    index, distance = nearest(x, among, 3)
    table = np.sqrt(((x.numpy()[:, None].astype(float) - among.numpy()[None]) ** 2).mean((2, 3, 4)))
    expected = np.argsort(table, 1)[:, :3]
    np.testing.assert_array_equal(index.numpy(), expected)
    np.testing.assert_allclose(distance.numpy(), np.take_along_axis(table, expected, 1), rtol=1e-6)
    same, zero = nearest(among[:4], among)
    assert same.flatten().tolist() == [0, 1, 2, 3]
    assert float(zero.max()) < 1e-6
    with pytest.raises(SpecError, match="expected 1 to 4 neighbours, got 5"):
        nearest(x, among[:4], 5)


def test_codes_that_do_not_fit_are_refused():
    model, x = image_model("glow"), pictures(3)
    codes = encode(model, x)
    for wrong, says in (
        (codes[1:], "fewer than it has"),
        ([*codes, codes[0]], "expected a code of shape"),
        ([codes[0], codes[0], codes[1]], "more than it has"),
        ([codes[0], codes[1][:2]], "expected a code of shape"),
        ([None, None], "at least one code"),
    ):
        with pytest.raises(ShapeError, match=says):
            decode(model, wrong)
    with pytest.raises(ShapeError, match="one batch dimension"):
        encode(model, x[0])
    with pytest.raises(ContextError, match="takes none"):
        encode(model, x, torch.zeros(3, 2, dtype=DOUBLE))


def test_missing_codes_are_drawn():
    model, x = image_model("glow"), pictures(3)
    codes = encode(model, x)
    torch.manual_seed(0)
    one = decode(model, [None, codes[1]])
    assert not torch.equal(one, decode(model, [None, codes[1]]))
    torch.manual_seed(0)
    assert torch.equal(decode(model, [None, codes[1]]), one)


def test_codes_know_their_context():
    model = image_model("glow", classes=3)
    x, labels = pictures(4), torch.eye(3, dtype=DOUBLE)[[0, 1, 2, 0]]
    codes = encode(model, x, labels)
    assert torch.equal(decode(model, codes, labels), x)
    assert not torch.equal(decode(model, codes, labels.roll(1, 1)), x)
    for given in (None, labels[:, :2]):
        with pytest.raises(ContextError):
            decode(model, codes, given)
    assert draw(model, 4, labels[0], temperature=0.5).shape == (4, 1, 8, 8)


def test_the_mode_of_the_model_is_left_as_it_was():
    model = image_model("realnvp-image", norm="batch").train()
    encode(model, pictures(2))
    draw(model, 2)
    assert all(part.training for part in model.modules())


def test_a_slice_by_a_flow_of_slices_has_all_its_codes():
    """Nested: the rest is a multi-scale flow itself, and an inverse stands in the chain."""
    inner = Flow(Chain(Slice(Real((3,)), 1, Normal(Real((2,))))), Normal(Real((1,))))
    swap = Inverse(Elementwise(RationalQuadratic(3), Real((5,))))
    model = Flow(Chain(swap, Slice(Real((5,)), 2, inner)), Normal(Real((2,)))).double()
    x = torch.randn(4, 5, dtype=DOUBLE)
    codes = encode(model, x)
    assert [code.shape[1] for code in codes] == [2, 1, 2]
    torch.testing.assert_close(decode(model, codes), x)
    labels = AutoregressiveCategorical((2, 3), hidden=(4,)).double()
    rows = Categories((2,), (2, 3)).random(4)
    assert torch.equal(decode(labels, encode(labels, rows)), rows)
