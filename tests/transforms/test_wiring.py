"""Layers wired into a graph: values, log-determinants, inverses, and graphs that are refused."""

import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Circle, Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import ContextError, ShapeError, SpecError
from pushforward.networks import MLP
from pushforward.transforms import (
    LU,
    Affine,
    Coupling,
    Elementwise,
    LayerGraph,
    Permutation,
    Squeeze,
    Wired,
)

R1, R2, R4 = Real((1,)), Real((2,)), Real((4,))


def given(space, length):
    """An element-wise layer whose weights are far from zero."""
    layer = Elementwise(Affine(), space, context=length, hidden=(8,))
    for weight in layer.parameters():
        nn.init.normal_(weight, std=0.5)
    return layer


def test_a_coupling_put_together_by_hand_is_a_coupling():
    """Split, condition, concatenate: the same numbers as the layer of the library."""
    torch.manual_seed(0)
    coupling = Coupling(Affine(), R4, [True, True, False, False], lambda i, o: MLP(i, o, hidden=(8,), zero=False))
    graph = LayerGraph(R4)
    a, b = graph.split(graph.input, (2, 2))
    p = graph.compute(coupling.net, a, shape=(4,))
    moved = graph.layer(FromParameters(R2), b, given=p)
    layer = graph.build(graph.concatenate(a, moved))
    x = torch.randn(5, 4)
    for made, known in zip(layer(x), coupling(x), strict=True):
        torch.testing.assert_close(made, known)
    torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)


class FromParameters(Elementwise):
    """Affine map whose parameters are the context itself."""

    def __init__(self, space):
        super().__init__(Affine(), space)
        self.context = Real((4,))

    def forward(self, x, context=None):
        z, slopes = self.scalar.forward(x, context.unflatten(1, (2, 2)).mT)
        return z, slopes.sum(1)

    def inverse(self, z, context=None):
        x, slopes = self.scalar.inverse(z, context.unflatten(1, (2, 2)).mT)
        return x, slopes.sum(1)


def test_both_halves_condition_each_other_one_after_the_other():
    """The log-determinant is that of automatic differentiation; conditions are known again in the inverse."""
    torch.manual_seed(1)
    graph = LayerGraph(R4, context=1)
    a, b = graph.split(graph.input, (1, 3))
    b = graph.layer(given(Real((3,)), 2), b, given=(a, graph.context))
    a = graph.layer(given(R1, 3), a, given=b)
    layer = graph.build(graph.layer(LU(R4), graph.concatenate(b, a))).double()
    x, c = torch.randn(3, 4, dtype=torch.float64), torch.randn(3, 1, dtype=torch.float64)
    z, dlogp = layer(x, c)
    for i in range(3):
        jacobian = torch.func.jacrev(lambda v, i=i: layer(v[None], c[i : i + 1])[0][0])(x[i])
        torch.testing.assert_close(dlogp[i], torch.linalg.slogdet(jacobian).logabsdet)
    back, minus = layer.inverse(z, c)
    torch.testing.assert_close(back, x)
    torch.testing.assert_close(minus, -dlogp)


def test_channels_of_pictures():
    """Pictures are split along channels, and a part keeps its own way."""
    space = Real((1, 4, 4))
    graph = LayerGraph(space)
    squeezed = graph.layer(Squeeze(space), graph.input)
    a, b = graph.split(squeezed, (1, 3))
    b = graph.layer(LU(Real((3, 2, 2))), b)
    layer = graph.build(graph.concatenate(b, a))
    x = torch.randn(2, 1, 4, 4)
    torch.testing.assert_close(layer.inverse(layer(x)[0])[0], x)
    assert layer.z_space == Real((4, 2, 2))


def test_a_flow_of_a_graph_is_saved(tmp_path):
    """A graph comes back from a file with its weights."""
    graph = LayerGraph(R2)
    a, b = graph.split(graph.input, (1, 1))
    b = graph.layer(given(R1, 1), b, given=a)
    flow = Flow(graph.build(graph.concatenate(a, b)), Normal(R2)).eval()
    pf.save(flow, tmp_path / "wired.flow")
    again = pf.load(tmp_path / "wired.flow").model
    x = torch.randn(4, 2)
    torch.testing.assert_close(again.log_prob(x), flow.log_prob(x))


def test_a_graph_without_an_inverse_is_refused():
    """Two layers that each see the other's input cannot be undone."""
    graph = LayerGraph(R2)
    a, b = graph.split(graph.input, (1, 1))
    c, d = graph.layer(given(R1, 1), a, given=b), graph.layer(given(R1, 1), b, given=a)
    with pytest.raises(SpecError, match="known only after the step that it conditions"):
        graph.build(graph.concatenate(c, d))


def test_mistakes_get_one_sentence():
    """Values read twice or left over, sizes, spaces, contexts, and values of another graph."""
    graph = LayerGraph(R4)
    a, b = graph.split(graph.input, (2, 2))
    with pytest.raises(SpecError, match="value 0 again"):
        graph.split(graph.input, (2, 2))
    with pytest.raises(SpecError, match="left over"):
        graph.build(a)
    with pytest.raises(ShapeError, match="sum to 2"):
        graph.split(a, (1, 2))
    with pytest.raises(ShapeError, match="starts in"):
        graph.layer(LU(R4), a)
    with pytest.raises(ContextError, match="context of Elementwise"):
        graph.layer(given(R2, 3), a, given=b)
    with pytest.raises(SpecError, match="of another"):
        graph.concatenate(a, LayerGraph(R2).input)
    with pytest.raises(ShapeError, match="dimension"):
        graph.concatenate(a, b, dim=1)
    with pytest.raises(SpecError, match="value in Real"):
        LayerGraph(Circle()).split(LayerGraph(Circle()).input, (1,))
    with pytest.raises(ContextError, match="at least one"):
        graph.compute(nn.Identity(), shape=(1,))


@pytest.mark.parametrize(
    "step",
    [("jump", 0, (0,), (), (1,), ()), ("layer", 7, (0,), (), (1,), ()), ("layer", 0, (9,), (), (1,), ())],
)
def test_steps_from_a_file_are_checked(step):
    """Steps that no builder makes are refused."""
    with pytest.raises(SpecError):
        Wired(R4, [step], [Permutation(R4, [1, 0, 3, 2])], result=1)
