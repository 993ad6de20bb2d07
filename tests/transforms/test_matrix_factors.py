"""Linear layers from reflections and of low rank: their start, the matrices that they reach, and bad arguments."""

import pytest
import torch

from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.transforms import QR, SVD, Woodbury


@pytest.mark.parametrize("make", [QR, SVD, Woodbury])
@pytest.mark.parametrize("shape", [(4,), (3, 2, 2)])
def test_a_new_layer_is_the_identity(make, shape):
    x = torch.randn(5, *shape)
    z, dlogp = make(Real(shape))(x)
    assert torch.allclose(z, x, atol=1e-5)
    assert dlogp.abs().max() < 1e-6


def test_svd_has_the_singular_values_of_its_scales():
    layer = SVD(Real((5,)), rotation=True).double()
    torch.nn.init.normal_(layer.log_scale)
    matrix = layer(torch.eye(5, dtype=torch.float64))[0].mT
    assert torch.allclose(torch.linalg.svdvals(matrix), layer.log_scale.exp().sort(descending=True).values)


def test_qr_has_the_triangle_of_the_decomposition():
    layer = QR(Real((4,)), rotation=True).double()
    torch.nn.init.normal_(layer.upper)
    matrix = layer(torch.eye(4, dtype=torch.float64))[0].mT
    r = torch.linalg.qr(matrix).R
    assert torch.allclose(r * r.diagonal().sign()[:, None], layer.upper.triu(1) + torch.eye(4))


def test_woodbury_mixes_positions_by_a_kronecker_product():
    layer = Woodbury(Real((2, 1, 3)), rank=1, positions_rank=2).double()
    for part in (layer.over_channels, layer.over_positions):
        torch.nn.init.normal_(part.u)
    channels, positions = (
        torch.eye(len(part.u)) + part.u @ part.v for part in (layer.over_channels, layer.over_positions)
    )
    x = torch.randn(4, 2, 1, 3, dtype=torch.float64)
    z, dlogp = layer(x)
    assert torch.allclose(z[:, :, 0], channels @ x[:, :, 0] @ positions.mT)
    assert torch.allclose(dlogp[0], torch.linalg.slogdet(torch.kron(channels, positions))[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QR(Real((2,)), reflections=0), "expected at least one reflection, got 0"),
        (lambda: Woodbury(Real((2,)), rank=0), "expected a rank >= 1"),
        (lambda: Woodbury(Real((2,)), positions_rank=1), "expected a space of images"),
        (lambda: SVD(Real(())), "expected a space of vectors or images"),
    ],
)
def test_bad_arguments_get_a_sentence(make, message):
    with pytest.raises(SpecError, match=message):
        make()
