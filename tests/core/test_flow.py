"""The core: wiring errors, embeddings, starts from data, the boundary to torch.distributions."""

import copy

import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Box, Categories, Chain, Flow, Identity, Integers, Inverse, Real, initialise
from pushforward.distributions import FromTorch, Normal, Uniform
from pushforward.errors import ContextError, DomainError, ShapeError, SpecError
from pushforward.systems.spec import Spec
from pushforward.transforms import LU, ActNorm, Affine, BatchNorm, Coupling, Elementwise, Logit, Slice, Standardise


def test_a_chain_names_the_neighbours_that_do_not_fit():
    with pytest.raises(ShapeError, match=r"layer 0 \(LU\) ends in Real\(shape=\(3,\)\), layer 1 \(LU\) starts in"):
        Chain(LU(Real((3,))), LU(Real((4,))))
    with pytest.raises(ShapeError, match="expected a chain that ends in the space of the base, Real"):
        Flow(LU(Real((3,))), Normal(Real((2,))))
    with pytest.raises(ShapeError, match="at least one layer"):
        Chain()


def test_layers_must_agree_on_the_context():
    one = Coupling(Affine(), Real((2,)), [True, False], context=1)
    two = Coupling(Affine(), Real((2,)), [False, True], context=2)
    with pytest.raises(ContextError, match="Coupling expects a context in Real"):
        Chain(one, two)


def test_spaces_refuse_nonsense():
    with pytest.raises(SpecError, match="low < high"):
        Box((2,), 1.0, 1.0)
    with pytest.raises(SpecError, match="low <= high"):
        Integers((2,), 3, 2)
    with pytest.raises(SpecError, match="at least one class"):
        Categories((2,), 0)
    with pytest.raises(SpecError, match="whole numbers"):
        Real((2.5,))
    with pytest.raises(SpecError, match="finite bounds"):
        Uniform(Box((1,), 0.0, float("inf")))


def test_a_context_given_to_an_unconditional_flow_is_refused():
    flow = pf.systems.MAF(features=2).build()
    with pytest.raises(ContextError, match="takes none"):
        flow.log_prob(torch.zeros(3, 2), torch.zeros(3, 1))


def test_samples_have_the_shape_of_torch_distributions():
    flow = pf.systems.RealNVP(features=3, context=2, layers=2, hidden=(4,)).build()
    c = torch.randn(5, 4, 2)
    assert flow.sample(7, c).shape == (7, 5, 4, 3)
    assert flow.sample((), c).shape == (5, 4, 3)
    assert flow.sample((2, 3), c[0, 0]).shape == (2, 3, 3)
    assert flow.sample(0, c).shape == (0, 5, 4, 3)
    x, logp = flow.sample_and_log_prob((6,), c)
    torch.testing.assert_close(flow.log_prob(x, c), logp, atol=1e-5, rtol=1e-5)
    with pytest.raises(ShapeError, match="draws >= 0"):
        flow.sample(-1, c)


def test_encode_and_decode_keep_batches():
    flow = pf.systems.NSF(features=3, context=2, layers=1, hidden=8).build()
    x, c = torch.randn(4, 5, 3), torch.randn(2)
    z = flow.encode(x, c)
    assert z.shape == (4, 5, 3)
    torch.testing.assert_close(flow.decode(z, c), x, atol=1e-5, rtol=1e-5)


def test_at_is_a_torch_distribution():
    flow = pf.systems.MAF(features=2, context=1, layers=1, hidden=(4,)).build()
    at = flow.at(torch.zeros(3, 1))
    assert isinstance(at, torch.distributions.Distribution)
    assert (at.batch_shape, at.event_shape, at.has_rsample) == ((3,), (2,), True)
    x, logp = at.rsample_and_log_prob((4,))
    torch.testing.assert_close(at.log_prob(x), logp, atol=1e-5, rtol=1e-5)
    assert at.expand((5, 3)).sample().shape == (5, 3, 2)
    assert at.support.check(x).all()
    shifted = torch.distributions.TransformedDistribution(
        at, torch.distributions.AffineTransform(1.0, 2.0, event_dim=1)
    )
    torch.testing.assert_close(
        shifted.log_prob(1 + 2 * x), logp - 2 * torch.log(torch.tensor(2.0)), atol=1e-4, rtol=1e-4
    )
    mlp = pf.systems.MLPDensity(features=1).build()
    assert not mlp.at().has_rsample


def test_a_torch_distribution_as_base():
    space = Box((2,), 0.0, 1.0)
    base = FromTorch(
        torch.distributions.Beta, space, concentration1=torch.tensor([2.0, 3.0]), concentration0=torch.ones(2)
    )
    flow = Flow(Inverse(Logit(space)), base)
    x = flow.sample(1000)
    expected = torch.distributions.TransformedDistribution(
        torch.distributions.Beta(torch.tensor([2.0, 3.0]), torch.ones(2)), torch.distributions.SigmoidTransform().inv
    )
    torch.testing.assert_close(flow.log_prob(x), expected.log_prob(x).sum(-1), atol=1e-3, rtol=1e-3)
    assert not list(base.parameters())
    with pytest.raises(ShapeError, match="distribution of shape"):
        FromTorch(torch.distributions.Normal, Real((2,)), loc=torch.zeros(3), scale=torch.ones(3))


def test_start_from_data_happens_once_and_survives_a_copy():
    """A trained or loaded actnorm must not start again."""
    space = Real((3,))
    flow = Flow(Chain(ActNorm(space), LU(space), BatchNorm(space), Standardise(space)), Normal(space))
    x = 5 + 2 * torch.randn(500, 3)
    initialise(flow, x)
    z = flow.encode(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    reference = flow.log_prob(x)
    loaded = copy.deepcopy(flow)
    loaded.load_state_dict(flow.state_dict())
    initialise(loaded, 100 * x)
    assert torch.equal(loaded.log_prob(x), reference)
    with pytest.raises(ShapeError, match="at least two events"):
        initialise(flow, x[:1])


def test_the_embedding_and_its_space_come_together():
    space = Real((2,))
    coupling = Coupling(Affine(), space, [True, False], context=4)
    with pytest.raises(ContextError, match="together"):
        Flow(coupling, Normal(space), embed=nn.Linear(3, 4))


def test_slice_and_elementwise_check_their_parts():
    with pytest.raises(SpecError, match="keep between 1 and 2"):
        Slice(Real((3,)), 3, Normal(Real((1,))))
    with pytest.raises(ShapeError, match="expected `rest` on Real"):
        Slice(Real((3,)), 1, Normal(Real((1,))))
    with pytest.raises(SpecError, match="needs the real line"):
        Elementwise(Affine(), Box((2,), 0.0, 1.0))


def test_outside_a_box_the_density_is_zero():
    flow = Flow(Logit(Box((1,), 0.0, 1.0)), Normal(Real((1,))))
    logp = flow.log_prob(torch.tensor([[0.5], [1.5], [-0.1]]))
    assert logp.isfinite().tolist() == [True, False, False]
    with pytest.raises(DomainError, match=r"got nan in x at index \(1, 0\)"):
        flow.log_prob(torch.tensor([[0.5], [float("nan")]]))


def test_scalar_events():
    flow = Flow(Identity(Real(())), Normal(Real(())))
    assert flow.log_prob(torch.zeros(4)).shape == (4,)
    assert flow.sample(3).shape == (3,)


def test_a_system_must_declare_itself():
    with pytest.raises(TypeError, match="must declare `family`"):

        class Nameless(Spec):
            name = "nameless"

    with pytest.raises(TypeError, match="already registered"):

        class Second(Spec):
            name, family, paper = "nsf", "none", "none"

    assert Spec.registry["nsf"] is pf.systems.NSF


def test_labels_start_at_their_frequencies():
    from pushforward.distributions import AutoregressiveCategorical

    torch.manual_seed(0)
    x = torch.stack([torch.randint(0, 3, (900,)), (torch.rand(900) < 0.9).long()], 1)
    model = AutoregressiveCategorical((3, 2), hidden=(8,))
    initialise(model, x)
    frequency = float((x[:, 1] == 1).double().mean())
    difference = model.log_prob(torch.tensor([[0, 1]])) - model.log_prob(torch.tensor([[0, 0]]))
    expected = torch.tensor((900 * frequency + 1) / (900 * (1 - frequency) + 1)).log()
    torch.testing.assert_close(difference[0], expected, atol=1e-5, rtol=1e-5)
    model.net.out.weight.data.fill_(0.1)
    before = model.net.out.bias.clone()
    initialise(model, 1 - x.clamp_max(1))
    assert torch.equal(model.net.out.bias, before)
