"""Networks of directed graphs, given and learned."""

import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.networks import GraphMLP, LearnedGraph, MaskedMLP, grouped_parents, longest_chain
from pushforward.objectives import GraphLikelihood, learned_graph
from pushforward.systems import Graphical
from pushforward.transforms import Affine, Autoregressive

DIAMOND = ((), (0,), (0,), (1, 2))


def random_weights(net, std=0.5):
    for weight in net.parameters():
        nn.init.normal_(weight, std=std)
    return net


def dependencies(net, features, context=None):
    """Which outputs change with which inputs, by automatic differentiation."""
    x = torch.randn(8, features)
    rows = torch.stack([torch.func.jacrev(lambda v: net(v[None], context)[0].sum(-1))(row) for row in x])
    return rows.abs().amax(0) > 1e-9


@pytest.mark.parametrize("residual", [False, True])
def test_outputs_see_their_parents_and_nothing_else(residual):
    """The Jacobian has the pattern of the graph."""
    torch.manual_seed(0)
    net = random_weights(GraphMLP(DIAMOND, 2, hidden=(12, 12, 12), activation="tanh", residual=residual))
    expected = torch.zeros(4, 4, dtype=torch.bool)
    for i, row in enumerate(DIAMOND):
        expected[i, list(row)] = True
    assert torch.equal(dependencies(net, 4), expected)


def test_a_context_reaches_every_output():
    """Features without parents follow the context, too."""
    torch.manual_seed(0)
    net = random_weights(GraphMLP(DIAMOND, 1, hidden=(12,), context=2))
    x = torch.zeros(1, 4)
    assert bool((net(x, torch.ones(1, 2)) != net(x, torch.zeros(1, 2))).all())


def test_an_inverse_takes_as_many_passes_as_the_longest_path():
    """Three features on the longest path of the diamond; groups take one pass each; both are exact."""
    assert longest_chain(DIAMOND) == 3
    assert [longest_chain(grouped_parents(6, p)) for p in (1, 2, 3, 6)] == [1, 2, 3, 6]
    torch.manual_seed(1)
    for parents in (DIAMOND, grouped_parents(4, 2), grouped_parents(4, 4, backwards=True)):
        net = random_weights(GraphMLP(parents, 2, hidden=(8,), activation="tanh"), 1.0)
        layer = Autoregressive(Affine(), Real((4,)), net).double()
        assert layer.depth == longest_chain(parents)
        x = torch.randn(16, 4, dtype=torch.float64)
        count = []
        made = layer._made
        layer._made = lambda *args, made=made, count=count: (count.append(1), made(*args))[1]
        z, dlogp = layer(x)
        with torch.no_grad():
            back, minus = layer.inverse(z)
        torch.testing.assert_close(back, x)
        torch.testing.assert_close(minus, -dlogp)
        assert len(count) <= layer.depth + 1


def test_groups_are_couplings_or_full_autoregressions():
    """Two groups give the mask of a coupling; D groups that of a MaskedMLP."""
    assert grouped_parents(4, 2) == ((), (), (0, 1), (0, 1))
    assert grouped_parents(3, 3, backwards=True) == ((1, 2), (2,), ())
    torch.manual_seed(0)
    full = dependencies(random_weights(GraphMLP(grouped_parents(3, 3), 1, hidden=(9,), activation="tanh")), 3)
    masked = dependencies(random_weights(MaskedMLP(3, 1, hidden=(9,), activation="tanh")), 3)
    assert torch.equal(full, masked)


def test_cycles_and_unknown_features_get_one_sentence():
    """The message names a cycle."""
    with pytest.raises(SpecError, match="cycles, got one on the features 1 > 2 > 1"):
        longest_chain([(), (2,), (1,)])
    with pytest.raises(SpecError, match=r"features 0 \.\.\. 1, got 5"):
        longest_chain([(), (5,)])
    with pytest.raises(SpecError, match="hidden widths >= 2"):
        GraphMLP(((), (0,), (0, 1)), 1, hidden=(1,))
    with pytest.raises(SpecError, match="between 1 and 3 passes"):
        grouped_parents(3, 4)
    with pytest.raises(SpecError, match='such as "0>2"'):
        Graphical(features=2, graph="given", edges=("a>b",))
    with pytest.raises(SpecError, match="set graph=given"):
        Graphical(features=2, edges=("0>1",))


def test_the_cyclicity_counts_cycles():
    """It is zero exactly for graphs without cycles, and equals the trace of its definition."""
    net = LearnedGraph(3, 1, hidden=(4,))
    with torch.no_grad():
        net.free.fill_(-20.0)
        net.free[1, 0] = net.free[2, 1] = 20.0
        assert float(net.cyclicity) < 1e-6
        net.free[0, 2] = 20.0
        p = net.probabilities
        eye = torch.eye(3)
        expected = torch.trace((eye + p / 3) @ (eye + p / 3) @ (eye + p / 3)) - 3
        torch.testing.assert_close(net.cyclicity, expected)
        assert float(net.cyclicity) > 0.05


def test_the_graph_of_evaluation_keeps_the_likeliest_edges():
    """Of the edges of a cycle, the least probable is left out; edges with negative logits are none."""
    net = LearnedGraph(3, 1, hidden=(4,))
    with torch.no_grad():
        net.free.fill_(-1.0)
        net.free[1, 0], net.free[2, 1], net.free[0, 2] = 1.0, 2.0, 0.5
    net.eval()
    assert net.parents == ((), (0,), (1,))
    random_weights(net)
    net.refresh()
    longest_chain(net.parents)


def test_a_learned_graph_finds_the_colliders():
    """Training finds the parents of a sum and of a product, and fixes a graph."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 1500)
    rows = torch.stack([a + b + 0.2 * torch.randn(1500), a, b], 1)
    flow = Graphical(features=3, map="affine", hidden=(16,), sparsity=0.02).build()
    pf.fit(flow, rows, epochs=40, lr=5e-3, batch_size=250)
    graph = learned_graph(flow)
    assert bool(graph.settled)
    assert {1, 2} <= set(graph.parents[0]) or sum(map(len, graph.parents)) == 3
    with pytest.raises(SpecError, match="learned graph"):
        GraphLikelihood(nn.Linear(1, 1))


def test_the_loss_is_the_likelihood_with_prices():
    """In training the loss adds the price of edges and the terms of the Lagrangian; in evaluation it adds nothing."""
    flow = Graphical(features=3, map="affine", hidden=(4,)).build()
    loss = GraphLikelihood(flow, sparsity=0.5, free=5)
    learned_graph(flow).search.copy_(torch.tensor([6.0, 2.0, 3.0, 1.0]))
    x = torch.randn(6, 3)
    graph = learned_graph(flow)
    flow.train()
    expected = -flow.log_prob(x).mean() + 0.5 * graph.probabilities.sum() + 2 * graph.cyclicity
    torch.testing.assert_close(loss((x,)), expected + 1.5 * graph.cyclicity**2)
    loss.eval()
    torch.testing.assert_close(loss((x,)), -flow.log_prob(x).mean())
