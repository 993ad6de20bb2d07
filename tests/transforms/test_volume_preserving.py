"""GIN couplings stretch without a change of volume, and the all-in-one block."""

import pytest
import torch

from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.transforms import VolumePreservingCoupling, all_in_one, half_mask


def varied(layer):
    """The layer in float64, away from its start."""
    torch.manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer.double()


@pytest.mark.parametrize("space", [Real((5,)), Real((4, 2, 3))])
def test_coordinates_are_stretched_and_the_volume_stays(space):
    network = None if len(space.shape) == 1 else torch.nn.Conv2d(2, 4, 1)
    mask = half_mask(space.shape[0])
    layer = varied(VolumePreservingCoupling(space, mask, *([network] if network else [])))
    x = torch.randn(3, *space.shape, dtype=torch.float64)
    jacobian = torch.stack([torch.autograd.functional.jacobian(lambda v: layer(v[None])[0][0], row) for row in x])
    jacobian = jacobian.reshape(3, space.size, space.size)
    assert torch.linalg.slogdet(jacobian)[1].abs().max() < 1e-12
    assert layer(x)[1].abs().max() < 1e-12
    slopes = jacobian.diagonal(dim1=1, dim2=2).log()
    assert slopes.abs().max() > 0.05
    assert slopes[:, : sum(mask) * space.size // space.shape[0]].abs().max() == 0


def test_a_block_that_preserves_volume_has_no_scale():
    x = torch.randn(4, 6, dtype=torch.float64)
    assert varied(all_in_one(Real((6,)), volume_preserving=True, mixing="permutation"))(x)[1].abs().max() < 1e-12
    assert varied(all_in_one(Real((6,))))(x)[1].abs().max() > 0.05


def test_an_unknown_mixing_is_refused():
    with pytest.raises(SpecError, match="expected mixing to be one of rotation, permutation, got 'shuffle'"):
        all_in_one(Real((2,)), mixing="shuffle")
