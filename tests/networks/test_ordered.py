"""Networks whose outputs depend on earlier features only: NADE, direct connections, and ensembles of masks."""

from __future__ import annotations

import pytest
import torch

from pushforward.networks import MaskedMLP, MaskEnsemble, NADENetwork
from pushforward.networks import nade_network as nade_module


def shaken(network):
    torch.manual_seed(0)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return network.double().eval()


NETWORKS = {
    "direct": lambda **options: MaskedMLP(5, 3, hidden=(7, 9), direct=True, **options),
    "nade": lambda **options: NADENetwork(5, 3, hidden=7, **options),
    "rescaled nade": lambda **options: NADENetwork(5, 3, hidden=7, rescale=True, activation="relu", **options),
    "ensemble": lambda **options: MaskEnsemble(5, 3, masks=3, hidden=(7, 9), direct=True, **options).member(2),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("context", [0, 2])
def test_an_output_depends_on_earlier_features_only(name, context):
    order = [3, 0, 4, 1, 2]
    net = shaken(NETWORKS[name](order=order, context=context, width=2))
    rank = net.order if isinstance(net, MaskedMLP) else torch.tensor(order)
    given = torch.randn(1, context, dtype=torch.double) if context else None
    x = torch.randn(1, 10, dtype=torch.double)
    slopes = torch.autograd.functional.jacobian(lambda x: net(x, given)[0], x)[:, :, 0].unflatten(-1, (5, 2))
    felt = (slopes != 0).any(-1).any(1)
    assert torch.equal(felt, rank[:, None] > rank[None, :])


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("recorded", [False, True])
def test_unrolling_gives_the_parameters_of_one_pass(name, context, recorded):
    net = shaken(NETWORKS[name](order=[3, 0, 4, 1, 2], context=context, width=2))
    given = torch.randn(6, context, dtype=torch.double) if context else None
    x = torch.randn(6, 5, 2, dtype=torch.double)
    seen = {}

    def step(i, p):
        seen[i] = p
        return x[:, i]

    with torch.set_grad_enabled(recorded):
        again = net.unroll(step, x, given)
        expected = net(x.flatten(1), given)
    assert torch.equal(again, x.flatten(1))
    torch.testing.assert_close(torch.stack([seen[i] for i in range(5)], 1), expected)


def test_nade_equals_a_loop_over_features():
    net = shaken(NADENetwork(4, 2, hidden=6, context=3, order=[2, 0, 3, 1], rescale=True))
    x, given = torch.randn(5, 4, dtype=torch.double), torch.randn(5, 3, dtype=torch.double)
    carried = net.start + given @ net.embed.weight.mT
    expected = torch.zeros(5, 4, 2, dtype=torch.double)
    for d in (1, 3, 0, 2):
        h = torch.sigmoid(net.rescale[d] * carried)
        expected[:, d] = net.bias[d] + h @ net.outputs[d].mT
        carried = carried + x[:, d, None] * net.inputs[d, 0]
    torch.testing.assert_close(net(x, given), expected, rtol=1e-10, atol=1e-12)


def test_nade_in_pieces_equals_nade_in_one(monkeypatch):
    net = shaken(NADENetwork(7, 2, hidden=6))
    x = torch.randn(5, 7, dtype=torch.double)
    with torch.no_grad():
        whole = net(x)
        monkeypatch.setattr(nade_module, "LARGEST", 2 * 5 * 6)
        torch.testing.assert_close(net(x), whole)


@pytest.mark.parametrize("context", [0, 2])
def test_members_of_an_ensemble_compute_what_the_ensemble_does(context):
    net = shaken(MaskEnsemble(5, 3, masks=4, hidden=(7, 9), direct=True, context=context))
    x = torch.randn(6, 5, dtype=torch.double)
    given = torch.randn(6, context, dtype=torch.double) if context else None
    for which in range(4):
        torch.testing.assert_close(net.member(which)(x, given), net(x, given, which))
    alone = MaskedMLP(5, 3, hidden=(7, 9), direct=True, context=context).double()
    alone.load_state_dict(net.net.state_dict())
    torch.testing.assert_close(alone(x, given), net(x, given, 0))


def test_an_ensemble_can_keep_the_order():
    kept = MaskEnsemble(6, 1, masks=5, shuffle=False, order=[1, 0, 2, 3, 5, 4])
    assert (kept.orders == kept.orders[0]).all()
    assert len({tuple(kept.degrees0[s].tolist()) for s in range(5)}) == 5
    assert len({tuple(o.tolist()) for o in MaskEnsemble(6, 1, masks=5).orders}) == 5
