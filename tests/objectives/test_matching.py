"""Flow matching: pairs of data and noise when there is a context."""

import pytest
import torch

import pushforward as pf
from pushforward.objectives.matching import OptimalTransport, SchroedingerBridge


def objective(bridge, context):
    flow = pf.build("flow-matching", features=1, context=context, hidden=(8,))
    return pf.objectives.FlowMatching(flow, bridge)


@pytest.mark.parametrize("bridge", [OptimalTransport(), SchroedingerBridge()])
def test_the_noise_of_each_label_follows_the_base(bridge):
    torch.manual_seed(0)
    label = torch.arange(400) % 2
    context = torch.nn.functional.one_hot(label).float()
    x, z = 6.0 * label[:, None] - 3.0 + 0.1 * torch.randn(400, 1), torch.randn(400, 1)
    paired = objective(bridge, 2)._paired(x, z, context)
    for k in (0, 1):
        assert paired[label == k].mean().abs() < 0.25
        assert paired[label == k].std() == pytest.approx(1.0, abs=0.2)
        assert set(paired[label == k, 0].tolist()) <= set(z[label == k, 0].tolist())


def test_pairs_are_those_of_least_distance_within_a_label():
    torch.manual_seed(0)
    label = torch.arange(40) % 2
    x, z = torch.randn(40, 1), torch.randn(40, 1)
    paired = objective(OptimalTransport(), 2)._paired(x, z, torch.nn.functional.one_hot(label).float())
    for k in (0, 1):
        assert torch.equal(paired[label == k].argsort(0), x[label == k].argsort(0))


def test_rows_with_contexts_of_their_own_have_independent_noise():
    x, z = torch.randn(20, 1), torch.randn(20, 1)
    assert torch.equal(objective(OptimalTransport(), 1)._paired(x, z, torch.randn(20, 1)), z)


def test_the_context_is_learned_with_pairs_of_optimal_transport():
    torch.manual_seed(0)
    c = torch.randn(1000, 1)
    x = 2 * c + 0.3 * torch.randn(1000, 1)
    flow = pf.build("flow-matching", features=1, context=1, hidden=(32, 32), steps=8)
    pf.fit(flow, x, context=c, epochs=20, batch_size=100, lr=1e-2, schedule="cosine", progress=False)
    for value in (-1.0, 1.0):
        assert float(flow.sample(500, torch.tensor([value])).mean()) == pytest.approx(2 * value, abs=0.3)
