"""Batch normalisation at test time: the moments of all training rows."""

from __future__ import annotations

import torch

from pushforward.core import Chain, Flow, Real
from pushforward.distributions import Normal
from pushforward.systems import MAF
from pushforward.training import measure_batch_norm
from pushforward.transforms import BatchNorm


def test_moments_are_those_of_all_rows_one_layer_after_the_other():
    torch.manual_seed(0)
    flow = MAF(features=3, layers=3, hidden=(8,), batch_norm=True).build().double()
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.4)
    x = 3 + 2 * torch.randn(501, 3, dtype=torch.double)
    assert measure_batch_norm(flow, x, batch_size=64) == 2
    at = x
    for layer in flow.chain:
        if isinstance(layer, BatchNorm):
            torch.testing.assert_close(layer.mean, at.mean(0))
            torch.testing.assert_close(layer.variance, at.var(0, unbiased=False))
        at = layer.eval()(at)[0]


def test_channels_of_pictures_share_their_moments():
    space = Real((2, 3, 4))
    flow = Flow(Chain(BatchNorm(space, channels=True)), Normal(space))
    x = torch.randn(50, 2, 3, 4) * torch.tensor([1.0, 5.0])[:, None, None]
    measure_batch_norm(flow, x, batch_size=7)
    torch.testing.assert_close(flow.chain[0].mean.flatten(), x.mean((0, 2, 3)))
    torch.testing.assert_close(flow.chain[0].variance.flatten(), x.var((0, 2, 3), unbiased=False))


def test_models_without_batch_normalisation_are_left_alone():
    assert measure_batch_norm(MAF(features=2, layers=1, hidden=(4,)).build(), torch.zeros(3, 2)) == 0
