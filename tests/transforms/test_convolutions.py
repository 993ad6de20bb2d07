"""Invertible convolutions beside dense matrices and other arguments."""

import pytest
import torch

from pushforward.core import Real
from pushforward.errors import ShapeError, SpecError
from pushforward.networks.lipschitz import norm_bound
from pushforward.transforms import EmergingConv, ExponentialConv, PeriodicConv

SPACE = Real((2, 3, 5))


def dense(function):
    """The matrix of a linear map of pictures."""
    basis = torch.eye(SPACE.size, dtype=torch.float64).reshape(-1, *SPACE.shape)
    zero = torch.zeros(1, *SPACE.shape, dtype=torch.float64)
    return (function(basis) - function(zero)).detach().flatten(1).mT


def test_exponential_convolution_is_the_exponential_of_a_matrix():
    torch.manual_seed(0)
    layer = ExponentialConv(SPACE).double()
    torch.nn.init.normal_(layer.conv.inner.weight)
    inner = dense(lambda v: layer.conv.push(layer.conv.weight(), v))
    assert 0.3 < torch.linalg.matrix_norm(inner, 2) <= 1
    assert torch.allclose(dense(lambda v: layer(v)[0]), torch.linalg.matrix_exp(inner), atol=1e-12)


def test_emerging_convolution_sees_a_square_on_both_sides():
    layer = EmergingConv(SPACE).double()
    for part in (layer.first, layer.second):
        torch.nn.init.normal_(part.free, std=0.1)
    seen = dense(lambda v: layer(v)[0]).reshape(2, 3, 5, 2, 3, 5)[0, 1, 2]
    assert bool((seen[:, :, 1:4] != 0).all())


def test_periodic_convolution_has_no_edges():
    layer = PeriodicConv(SPACE).double()
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(2, *SPACE.shape, dtype=torch.float64)
    moved = layer(x.roll((1, 2), (2, 3)))[0]
    assert torch.allclose(moved, layer(x)[0].roll((1, 2), (2, 3)))


def test_the_gradient_of_the_norm_bound_of_complex_blocks_is_exact():
    torch.manual_seed(0)
    blocks = torch.randn(3, 2, 2, dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: norm_bound(w.mH @ w), blocks)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EmergingConv(SPACE, kernel=2), SpecError, "expected a kernel with an odd side"),
        (lambda: PeriodicConv(SPACE, kernel=5), SpecError, "no larger than the pictures of 3 x 5"),
        (lambda: ExponentialConv(SPACE, norm=1.5), SpecError, r"expected a norm in \(0, 1\]"),
        (lambda: ExponentialConv(Real((3,))), ShapeError, "expected"),
    ],
)
def test_bad_arguments_get_a_sentence(make, error, message):
    with pytest.raises(error, match=message):
        make()
