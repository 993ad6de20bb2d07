"""MaskedMLP: masks, and unrolling in one pass against D passes."""

import itertools

import pytest
import torch

from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.networks import MLP, MaskedMLP
from pushforward.transforms import (
    Additive,
    Affine,
    Autoregressive,
    Coupling,
    GatedAffine,
    LogisticMixture,
    RationalQuadratic,
    alternating_mask,
    half_mask,
    random_mask,
)

DOUBLE = torch.float64


def shaken(module, seed=0):
    torch.manual_seed(seed)
    for p in module.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return module.to(DOUBLE).eval()


def many_passes(layer, z, context):
    """The plain inverse: one full pass of the network for each feature. The oracle for the fast one."""
    x = torch.zeros_like(z)
    for _ in range(z.shape[1]):
        x, slopes = layer.scalar.inverse(z, layer.net(x, context))
    return x, slopes.sum(1)


CONFIGURATIONS = [
    pytest.param(
        features, hidden, residual, context, id=f"D{features}-{hidden}-{'res' if residual else 'mlp'}-c{context}"
    )
    for features, (hidden, residual), context in itertools.product(
        (1, 2, 7, 8, 9, 25),
        (((6,), False), ((30, 20), False), ((16, 16, 16), True), ((3,) * 5, True)),
        (0, 2),
    )
]


@pytest.mark.parametrize(("features", "hidden", "residual", "context"), CONFIGURATIONS)
@pytest.mark.parametrize("gradients", [False, True])
def test_unrolled_inverse_is_the_inverse_of_many_passes(features, hidden, residual, context, gradients):
    scalar = Affine()
    order = torch.randperm(features, generator=torch.Generator().manual_seed(features)).tolist()
    net = MaskedMLP(
        features, scalar.n, hidden=hidden, residual=residual, context=context, order=order, activation="silu"
    )
    layer = shaken(Autoregressive(scalar, Real((features,)), net, context=context))
    z = torch.randn(5, features, dtype=DOUBLE)
    c = torch.randn(5, context, dtype=DOUBLE) if context else None
    with torch.set_grad_enabled(gradients):
        x, dlogp = layer.inverse(z, c)
        expected, expected_dlogp = many_passes(layer, z, c)
    torch.testing.assert_close(x, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(dlogp, expected_dlogp, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(
    "scalar",
    [Additive(), Affine(), GatedAffine(), RationalQuadratic(4), LogisticMixture(3)],
    ids=lambda s: type(s).__name__,
)
def test_unrolled_gradients_are_those_of_many_passes(scalar):
    net = MaskedMLP(10, scalar.n, hidden=(12, 12, 12), residual=True, context=2, activation="tanh")
    layer = shaken(Autoregressive(scalar, Real((10,)), net, context=2))
    z = torch.randn(4, 10, dtype=DOUBLE, requires_grad=True)
    c = torch.randn(4, 2, dtype=DOUBLE, requires_grad=True)
    weights = torch.randn(4, 10, dtype=DOUBLE)
    wanted = [z, c, *net.parameters()]
    results = []
    for inverse in (layer.inverse, lambda z, c: many_passes(layer, z, c)):
        x, dlogp = inverse(z, c)
        results.append(torch.autograd.grad((weights * x).sum() + dlogp.sum(), wanted, allow_unused=True))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(
            torch.zeros(()) if fast is None else fast, slow, atol=1e-7, rtol=1e-6, check_dtype=False
        )


def test_output_of_rank_r_sees_only_inputs_before_it():
    order = [2, 0, 3, 1]
    net = shaken(MaskedMLP(4, 3, hidden=(20, 20), order=order))
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], torch.randn(4, dtype=DOUBLE))
    for i, j in itertools.product(range(4), range(4)):
        connected = bool((jacobian[i, :, j] != 0).any())
        assert connected == (order[j] < order[i]), (i, j)


def test_every_output_sees_the_context_the_first_one_too():
    net = shaken(MaskedMLP(5, 2, hidden=(25,), context=3))
    x, c = torch.randn(1, 5, dtype=DOUBLE), torch.randn(1, 3, dtype=DOUBLE)
    jacobian = torch.autograd.functional.jacobian(lambda c: net(x, c)[0], c)
    assert (jacobian.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_the_unrolled_inverse_computes_each_unit_once():
    """Work is counted, not timed: multiplications in the unrolled inverse against one masked pass."""
    from torch.utils.flop_counter import FlopCounterMode

    net = MaskedMLP(64, 2, hidden=(256, 256))
    layer = Autoregressive(Affine(), Real((64,)), net).eval()
    z = torch.randn(128, 64)
    counts = []
    for run in (layer.forward, layer.inverse):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run(z)
        counts.append(counter.get_total_flops())
    assert counts[1] <= 1.05 * counts[0]


def test_masks_cover_every_coordinate():
    for features in (2, 3, 5, 8):
        for make in (half_mask, alternating_mask):
            first, second = make(features), make(features, flip=True)
            assert all(a != b for a, b in zip(first, second, strict=True))
        assert sum(random_mask(features, 3)) == features // 2
        assert random_mask(features, 3) == random_mask(features, 3)
    assert half_mask(1) == half_mask(1, flip=True) == alternating_mask(1, flip=True) == [False]


def test_bad_arguments():
    with pytest.raises(SpecError, match=r"permutation of 0 \.\.\. 2"):
        MaskedMLP(3, 1, order=(0, 0, 1))
    with pytest.raises(SpecError, match="odd number of equal hidden widths"):
        MaskedMLP(3, 1, hidden=(8, 8), residual=True)
    with pytest.raises(SpecError, match="hidden widths >= 1"):
        MLP(3, 1, hidden=())
    with pytest.raises(SpecError, match=r"activation to be one of .*, got 'relo'"):
        MLP(3, 1, activation="relo")
    with pytest.raises(SpecError, match="both True and False"):
        Coupling(Affine(), Real((3,)), [True, True, True])
    with pytest.raises(SpecError, match="network of 3 features"):
        Autoregressive(Affine(), Real((3,)), MaskedMLP(4, 2))
