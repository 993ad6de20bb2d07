"""Surjections that lose labels: absolute values, folds, sorting, rounding, pooling and zigzags."""

import math

import pytest
import torch

from pushforward.core import Box, Chain, Exactness, Flow, Integers, Inverse, Real
from pushforward.distributions import DiscretisedLogistic, FromTorch, Normal
from pushforward.errors import ShapeError, SpecError
from pushforward.evaluation import decode, encode
from pushforward.functional.half_normal import half_normal_to_normal, normal_to_half_normal
from pushforward.transforms import (
    AbsoluteValue,
    Augment,
    Logit,
    Rounding,
    Slice,
    Sort,
    WinnerFold,
    Zigzag,
    max_pool,
    maximum,
)

PLANE = Real((2,))


def test_a_fold_of_two_is_an_absolute_value_up_to_a_rotation():
    x = 3 * torch.randn(200, 2, dtype=torch.float64)
    middle, apart = (x[:, 0] + x[:, 1]) / 2**0.5, (x[:, 0] - x[:, 1]) / 2**0.5
    fold, mirror = WinnerFold(PLANE, 2, None).double(), AbsoluteValue(Real((1,)), None).double()
    z, dlogp = fold(x)
    folded, dmirror = mirror(apart[:, None])
    # The gap behind the winner is sqrt(2) |apart|, and the winner has (middle + |apart|) / sqrt(2).
    half, dhalf = half_normal_to_normal(2**0.5 * folded[:, 0])
    torch.testing.assert_close(z[:, 1], half)
    torch.testing.assert_close(z[:, 0], (middle + folded[:, 0]) / 2**0.5)
    # (middle, |apart|) -> ((middle + |apart|) / sqrt 2, sqrt 2 |apart|) has determinant one.
    torch.testing.assert_close(dlogp, dmirror + dhalf)


def test_the_density_behind_a_mirror_is_that_of_a_symmetric_density():
    half = FromTorch(torch.distributions.HalfNormal, Box((2,), 0.0, math.inf), scale=torch.ones(2))
    flow, x = Flow(AbsoluteValue(PLANE, None), half), torch.randn(100, 2)
    torch.testing.assert_close(flow.log_prob(x), Normal(PLANE).log_prob(x))
    assert flow.exactness == Exactness.EXACT
    assert float((flow.sample(4000) > 0).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_a_fold_keeps_the_largest_entry_and_the_gaps_of_blocks():
    x = torch.tensor([[1.0, 3.0, 2.0, -1.0, -2.0, 0.0, 9.0]], dtype=torch.float64)
    fold = WinnerFold(Real((7,)), 3, None)
    z = fold(x)[0]
    assert z[0, :2].tolist() == [3.0, 0.0]
    gaps = normal_to_half_normal(z[0, 2:6])[0]
    torch.testing.assert_close(gaps, torch.tensor([2.0, 1.0, 1.0, 2.0], dtype=torch.float64))
    assert z[0, 6] == 9.0
    assert fold.codes(x).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "layer",
    [
        AbsoluteValue(Real((4,))),
        WinnerFold(Real((4,)), 3),
        Zigzag(Real((4,)), 5),
        Sort(Real((4,))),
        Rounding(Real((4,))),
        maximum(Real((4,)), 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_codes_give_events_back(layer):
    base = DiscretisedLogistic((4,)) if layer.z_space == Integers((4,)) else Normal(Real(layer.z_space.shape))
    chain = Chain(layer, Logit(layer.z_space)) if isinstance(layer.z_space, Box) else layer
    flow, x = Flow(chain, base).double(), 2 * torch.randn(64, 4, dtype=torch.float64)
    assert not flow.exactness
    torch.testing.assert_close(decode(flow, encode(flow, x)), x)


def test_the_inverse_of_a_surjection_is_a_bound():
    for layer in (AbsoluteValue(PLANE), Sort(PLANE), Rounding(PLANE), Slice(PLANE, 1, Normal(Real((1,))))):
        assert not layer.exactness
        assert Inverse(layer).exactness == Exactness.NOISY | Exactness.LOWER
        assert Inverse(Inverse(layer)).exactness == layer.exactness
    assert Inverse(Augment(PLANE, Normal(PLANE))).exactness == Exactness.NOISY | Exactness.UPPER


def test_the_density_behind_sorting_is_exchangeable():
    flow = Flow(Sort(Real((4,))), Normal(Real((4,)))).double()
    x = torch.randn(20, 4, dtype=torch.float64)
    torch.testing.assert_close(flow.log_prob(x), flow.log_prob(x[:, [2, 0, 3, 1]]))
    drawn = flow.sample(5000).argmin(1)
    assert float(torch.bincount(drawn).min()) > 1100


def test_sorting_scores_one_of_all_orders():
    x = torch.randn(50, 2, dtype=torch.float64)
    z, dlogp = Sort(PLANE).double()(x)
    ordered = x.sort(1).values
    gap, slope = half_normal_to_normal(ordered[:, 1] - ordered[:, 0])
    torch.testing.assert_close(z, torch.stack([ordered[:, 0], gap], 1))
    torch.testing.assert_close(dlogp, slope - math.log(2))


def test_rounding_turned_round_is_dequantisation():
    layer = Inverse(Rounding(PLANE))
    x = torch.tensor([[3.0, -2.0]]).expand(1000, 2)
    z, dlogp = layer(x)
    assert bool((z.floor() == x).all())
    assert float(dlogp.abs().max()) == 0.0
    assert float((z - x).mean()) == pytest.approx(0.5, abs=0.03)


def test_pooling_gives_the_largest_values():
    x = torch.randn(6, 3, 4, 8)
    z = max_pool(Real((3, 4, 8)), 2)(x)[0]
    torch.testing.assert_close(z, torch.nn.functional.max_pool2d(x, 2))
    torch.testing.assert_close(maximum(Real((5,)))(x[:, 0, 0, :5])[0], x[:, 0, 0, :5].amax(1, keepdim=True))


def test_zigzags_are_continuous_and_start_between_clusters():
    layer = Zigzag(Real((1,)), 3).double()
    counts = (2000, 5000, 2000)
    parts = zip(counts, (-4.0, 0.0, 5.0), strict=True)
    x = torch.cat([torch.randn(n, 1, dtype=torch.float64) * 0.2 + c for n, c in parts])
    layer.init_from(x)
    codes = layer.codes(x).flatten()
    assert [part.unique().tolist() for part in codes.split(counts)] == [[0], [1], [2]]
    ends = torch.cat(
        [layer.first, layer.first + torch.nn.functional.softplus(layer.widths + math.log(math.e - 1))[:, 0]]
    )
    for end in ends.tolist():
        near = torch.tensor([[end - 1e-9], [end + 1e-9]], dtype=torch.float64)
        z, dlogp = (t.detach() for t in layer(near))
        assert float((z[0] - z[1]).abs()) < 1e-6
        assert float(dlogp.max()) < -8  # the gates close: the density is continuous, and zero there


def test_every_z_has_a_preimage_with_probability_one():
    layer = Zigzag(Real((1,)), 5).double()
    z = torch.linspace(-5, 5, 300, dtype=torch.float64)[:, None]
    x, _ = layer.inverse(z)
    torch.testing.assert_close(layer(x)[0], z)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: WinnerFold(PLANE, 3), "blocks of 2 to 2 competing units"),
        (lambda: WinnerFold(Integers((3,)), 2), "competing units of real numbers"),
        (lambda: AbsoluteValue(Box((2,))), "real arrays for an absolute value"),
        (lambda: Sort(Real((1,))), "at least two real numbers to sort"),
        (lambda: Sort(Integers((3,))), "to sort"),
        (lambda: Rounding(Box((2,))), "real arrays to round"),
        (lambda: Zigzag(PLANE, 4), "odd number of pieces"),
        (lambda: maximum(Real((5,)), 2), "that divide 5"),
        (lambda: max_pool(Integers((1, 2, 2)), 2), "pictures of real numbers"),
    ],
)
def test_surjections_refuse_spaces_that_they_do_not_fit(make, error):
    with pytest.raises(SpecError, match=error):
        make()


def test_rounding_refuses_a_distribution_on_another_space():
    with pytest.raises(ShapeError, match="expected `rest` on Box"):
        Rounding(PLANE, Normal(PLANE))
