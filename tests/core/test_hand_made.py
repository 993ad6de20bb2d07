"""Flows put together by hand: foreign networks as conditioners, bases of torch, chains as sequences, and what `repr` shows."""

import copy
import pickle

import pytest
import torch
import torch.distributions as td
from torch import nn

from pushforward.core import Categories, Chain, Flow, Real, Transform
from pushforward.distributions import AutoregressiveCategorical, Conditioned, FromTorch, Normal
from pushforward.errors import ContextError, DomainError, ShapeError, SpecError
from pushforward.networks import MLP, Conditioner, MaskedMLP
from pushforward.systems import NSF, Glow
from pushforward.transforms import LU, Affine, Autoregressive, Coupling, Permutation, RationalQuadratic, half_mask

SPACE = Real((3,))


def layers(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))


class OneArgument(nn.Module):
    """As normflows' MLP."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.net = layers(inputs, outputs)

    def forward(self, x):
        return self.net(x)


class Scaling(OneArgument):
    """With a second argument that is not a context."""

    def forward(self, x, scale=1.0):
        return scale * self.net(x)


class WithContext(OneArgument):
    """As nflows' networks."""

    def forward(self, inputs, context=None):
        return self.net(inputs if context is None else torch.cat([inputs, context], 1))


class Before(nn.Module):
    """Parameters of each coordinate from those before it, without a context."""

    def __init__(self, features, n):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n, features, features) / 3)

    def forward(self, x):
        return torch.einsum("nij,bj->bin", self.weight.tril(-1), x[:, : self.weight.shape[1]])


def inverts(layer, context=None):
    x = torch.randn(5, *layer.x_space.shape)
    z, dlogp = layer(x, context)
    again, back = layer.inverse(z, context)
    assert torch.allclose(again, x, atol=1e-4)
    assert torch.allclose(dlogp, -back, atol=1e-4)
    return z


@pytest.mark.parametrize("network", [layers, OneArgument, Scaling, WithContext])
def test_any_module_is_a_conditioner(network):
    inverts(Coupling(Affine(), SPACE, half_mask(3), network))
    inverts(Coupling(Affine(), SPACE, half_mask(3), network(1, 4)))


@pytest.mark.parametrize("network", [layers, OneArgument])
def test_a_module_without_a_context_gets_it_concatenated(network):
    layer = Coupling(Affine(), SPACE, half_mask(3), network, context=4)
    context = torch.randn(5, 4, requires_grad=True)
    inverts(layer, context).sum().backward()
    assert context.grad.abs().sum() > 0
    assert next(layer.net.net.parameters()).shape == (8, 1 + 4)


def test_a_module_with_a_context_gets_it():
    layer = Coupling(Affine(), SPACE, half_mask(3), lambda i, o, context: WithContext(i + context, o), context=4)
    assert isinstance(layer.net, WithContext)
    inverts(layer, torch.randn(5, 4))
    layer = Coupling(Affine(), SPACE, half_mask(3), MLP, context=4)
    assert isinstance(layer.net, MLP)


def test_pictures_get_the_context_at_every_position():
    space = Real((4, 4, 4))
    network = lambda i, o: nn.Conv2d(i, o, 3, padding=1)  # noqa: E731
    layer = Coupling(Affine(), space, half_mask(4), network, context=3)
    inverts(layer, torch.randn(5, 3))
    inverts(Coupling(Affine(), space, half_mask(4), network, context=Real((3, 4, 4))), torch.randn(5, 3, 4, 4))


def test_autoregressive_networks_of_one_argument():
    inverts(Autoregressive(Affine(), SPACE, Before(3, 2)))
    layer = Autoregressive(Affine(), SPACE, Before(3, 2), context=4)
    inverts(layer, torch.randn(5, 4))
    tokens = Autoregressive(Affine(), Real((4, 2)), nn.Sequential(Shifted(), nn.Linear(5, 4)), context=3)
    inverts(tokens, torch.randn(5, 3))
    labels = AutoregressiveCategorical((3, 3), net=nn.Sequential(Shifted(), nn.Linear(3, 3)))
    assert labels.log_prob(labels.sample(7)).shape == (7,)


class Shifted(nn.Module):
    """Each token becomes the one before it."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x[:, :1]), x[:, :-1]], 1)


def test_wrong_sizes_and_labels_are_named():
    layer = Coupling(Affine(), SPACE, half_mask(3), layers(1, 5))
    with pytest.raises(ShapeError, match=r"Sequential to return shape \(5, 4\) for 5 rows, got \(5, 5\)"):
        layer(torch.randn(5, 3))
    layer = Coupling(Affine(), SPACE, half_mask(3), layers, context=Categories((2,), 3))
    with pytest.raises(ContextError, match=r"labels of type torch.int64; use a network with an argument `context`"):
        layer(torch.randn(5, 3), torch.zeros(5, 2, dtype=torch.long))
    layer = Coupling(Affine(), Real((4, 4, 4)), half_mask(4), nn.Conv2d(5, 4, 1), context=Real((3, 2, 2)))
    with pytest.raises(ContextError, match=r"concatenated to shape \(5, 2, 4, 4\), got \(5, 3, 2, 2\)"):
        layer(torch.randn(5, 4, 4, 4), torch.randn(5, 3, 2, 2))


BASES = {
    "independent": lambda: td.Independent(td.Normal(torch.zeros(3), torch.full((3,), 2.0)), 1),
    "batch": lambda: td.Laplace(torch.zeros(3), torch.ones(3)),
    "expanded": lambda: td.Normal(0.0, 1.0).expand((3,)),
    "covariance": lambda: td.MultivariateNormal(torch.ones(3), torch.eye(3) + 0.5),
    "precision": lambda: td.MultivariateNormal(torch.ones(3), precision_matrix=torch.eye(3) + 0.5),
    "factor": lambda: td.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3)),
    "student": lambda: td.StudentT(torch.full((3,), 4.0)),
    "gumbel": lambda: td.Gumbel(torch.zeros(3), torch.ones(3)),
    "mixture": lambda: td.MixtureSameFamily(
        td.Categorical(logits=torch.randn(4)), td.Independent(td.Normal(torch.randn(4, 3), torch.ones(4, 3)), 1)
    ),
    "transformed": lambda: td.TransformedDistribution(td.Normal(torch.zeros(3), torch.ones(3)), td.TanhTransform().inv),
}


@pytest.mark.parametrize("name", [name for name in BASES if name != "transformed"])
def test_bases_of_torch(name):
    base = BASES[name]()
    chain = Chain(LU(SPACE, rotation=True))
    flow = Flow(chain, base)
    x = torch.randn(6, 3)
    z, dlogp = chain(x)
    expected = base.log_prob(z)
    expected = expected.sum(1) if expected.dim() == 2 else expected
    assert torch.allclose(flow.log_prob(x), expected + dlogp, atol=1e-5)
    assert flow.sample(4).shape == (4, 3)
    double = copy.deepcopy(flow).double()
    assert torch.allclose(double.log_prob(x.double()), flow.log_prob(x).double(), atol=1e-4)
    again = pickle.loads(pickle.dumps(flow))
    assert torch.equal(again.log_prob(x), flow.log_prob(x))


def test_parameters_of_a_base_are_trained():
    loc = nn.Parameter(torch.zeros(3))
    flow = Flow(LU(SPACE), td.Independent(td.Normal(loc, torch.ones(3)), 1))
    assert any(p is loc for p in flow.parameters())
    flow.log_prob(torch.randn(5, 3)).sum().backward()
    assert loc.grad.abs().sum() > 0


def test_wrong_bases_are_named():
    with pytest.raises(ShapeError, match=r"shape \(3,\), where the chain ends, got a Normal of shape \(\); expand it"):
        Flow(LU(SPACE), td.Normal(0.0, 1.0))
    with pytest.raises(SpecError, match="real, bounded or a simplex, got IntegerGreaterThan"):
        Flow(LU(SPACE), td.Poisson(torch.ones(3)))
    with pytest.raises(ShapeError, match="the space of the base, Box"):
        Flow(LU(SPACE), td.LogNormal(torch.zeros(3), torch.ones(3)))
    with pytest.raises(DomainError, match=r"pushforward.distributions or torch.distributions, got int"):
        Flow(LU(SPACE), 3)
    scaled = td.TransformedDistribution(
        td.Normal(torch.zeros(3), torch.ones(3)), td.AffineTransform(torch.ones(3), torch.ones(3))
    )
    with pytest.raises(SpecError, match="FromTorchTransform"):
        Flow(LU(SPACE), scaled)
    assert Flow(LU(SPACE), Normal(SPACE).at()).base.space == SPACE
    given = NSF(features=3, context=1, layers=1, hidden=8).build().at(torch.zeros(1))
    with pytest.raises(ContextError, match=r"model.at\(context\)"):
        Flow(LU(SPACE), given)


def test_transformed_bases_without_tensors():
    base = td.TransformedDistribution(td.Normal(torch.zeros(3), torch.ones(3)), td.SigmoidTransform().inv.inv)
    with pytest.raises(ShapeError, match="the space of the base, Box"):
        Flow(LU(SPACE), base)


def test_chains_are_sequences():
    chain = Chain(LU(SPACE), Permutation(SPACE), Coupling(Affine(), SPACE, half_mask(3))).eval()
    chain.memory = "invert"
    assert len(chain) == 3
    assert list(chain) == [chain[0], chain[1], chain[2]] == list(chain.layers)
    assert chain[-1] is chain.layers[2]
    assert all(isinstance(layer, Transform) for layer in chain)
    part = chain[1:]
    assert isinstance(part, Chain)
    assert len(part) == 2
    assert part[0] is chain[1]
    assert part.memory == "invert"
    assert not part.training
    x = torch.randn(4, 3)
    z, dlogp = chain[:1](x)
    z, more = part(z)
    assert torch.equal(z, chain(x)[0])
    assert torch.allclose(dlogp + more, chain(x)[1])
    with pytest.raises(IndexError):
        chain[3]
    with pytest.raises(ShapeError, match="at least one layer"):
        chain[3:]


def test_repr_shows_maps_orders_and_the_base():
    made = MaskedMLP(3, 23, hidden=(8,), order=(2, 0, 1))
    chain = Chain(
        Permutation(SPACE, [1, 2, 0]),
        Coupling(RationalQuadratic(8, 4.0), SPACE, half_mask(3), layers),
        Autoregressive(RationalQuadratic(8, 5.0), SPACE, made),
    )
    text = repr(Flow(chain, BASES["mixture"]()))
    for fact in (
        "Permutation(Real(3), order=(1, 2, 0))",
        "RationalQuadratic(bins=8, bound=4.0), Real(3), mask=",
        "order=(2, 0, 1)",
        "FromTorch(MixtureSameFamily(Categorical, Independent(Normal)), Real(3))",
        "Linear(in_features=1, out_features=8",
    ):
        assert fact in text
    assert "(base): Normal(Real(3))" in repr(NSF(features=3, layers=1).build())
    assert max(map(len, repr(Glow.preset("tiny", shape=(1, 8, 8)).build()).splitlines())) < 160
    assert repr(FromTorch(td.Normal, Real(()), loc=0.0, scale=1.0)) == "FromTorch(Normal, Real())"


def test_repr_of_a_flow_at_a_context():
    flow = NSF(features=3, context=2, layers=1, hidden=8).build()
    text = repr(flow.at(torch.zeros(5, 2)))
    assert text == ("Conditioned(Flow on Real(3) given a context of shape (5, 2); batch_shape (5,), event_shape (3,))")
    assert isinstance(flow.at(torch.zeros(2)), Conditioned)


def test_records_travel_with_copies():
    layer = Coupling(Affine(bound=2.0), SPACE, half_mask(3), layers(1, 4))
    assert isinstance(layer.net, Conditioner)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer)
