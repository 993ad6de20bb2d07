"""Dense contractions: the constant of their activation and of the whole network."""

import torch

from pushforward.networks import LipschitzDenseNet
from pushforward.networks.lipschitz import LipSwish
from pushforward.networks.lipschitz_dense import BOTH_SIGNS


def test_the_activation_with_both_signs_has_the_constant_one():
    act = LipSwish()
    x = torch.linspace(-30, 30, 100_001)
    size = (act(x)[1].square() + act(-x)[1].square()).sqrt().max() / BOTH_SIGNS
    assert 0.999 < float(size.detach()) <= 1


def test_large_weights_do_not_break_the_constant():
    torch.manual_seed(0)
    net = LipschitzDenseNet((3,), hidden=(5, 4), coefficient=0.9).double()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=4.0)
    x = torch.randn(200, 3, dtype=torch.float64)
    _, push, pull = net.linearised(x)
    rows = torch.eye(3, dtype=torch.float64)[:, None].expand(3, 200, 3)
    jacobian = push(rows)
    assert torch.allclose(jacobian.permute(1, 2, 0), pull(rows).permute(1, 0, 2))
    assert 0.05 < torch.linalg.matrix_norm(jacobian.movedim(0, 2), 2).max() <= 0.9
