"""Flows of labels and of whole numbers: bijections by enumeration, gradients against matrices, networks, bases, systems."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import logistic
from torch.nn import functional as F

import pushforward as pf
from pushforward.core import Categories, Chain, Flow, Integers, OneHot, Real
from pushforward.distributions import (
    AutoregressiveCategorical,
    Categorical,
    ConditionalNormal,
    DiscretisedLogistic,
    Normal,
    StudentT,
)
from pushforward.errors import DomainError, ShapeError, SpecError
from pushforward.functional.bounds import one_hot_through
from pushforward.functional.logistic import discretised_logistic
from pushforward.functional.modular_arithmetic import inverse_modulo, inverses
from pushforward.networks import (
    AutoregressiveTable,
    BidirectionalLSTM,
    CausalLSTM,
    CausalTransformer,
    DenseNet,
    LabelMLP,
    LabelSequence,
    LabelTable,
    LabelTransformer,
    MaskedMLP,
)
from pushforward.systems import IDF, Discrete
from pushforward.transforms import (
    ArgMax,
    Autoregressive,
    Coupling,
    Modular,
    RankedLabels,
    RoundedShift,
    Slice,
    ToOneHot,
    alternating_mask,
    half_mask,
)


def states(counts):
    return torch.tensor(list(itertools.product(*(range(k) for k in counts))))


def shaken(module, size=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for p in module.parameters():
        p.data.add_(size * torch.randn(p.shape, generator=generator))
    return module


# arithmetic


@pytest.mark.parametrize("modulus", [1, 2, 6, 7, 12, 91, 256])
def test_inverses_are_those_of_python(modulus):
    for a in range(modulus):
        if math.gcd(a, modulus) == 1:
            assert inverse_modulo(a, modulus) == (pow(a, -1, modulus) if modulus > 1 else 0)
        else:
            with pytest.raises(ValueError, match=f"{a} has no inverse modulo {modulus}"):
                inverse_modulo(a, modulus)
    assert [b >= 0 for b in inverses(modulus, modulus + 2)] == [
        a < modulus and math.gcd(a, modulus) == 1 for a in range(modulus + 2)
    ]


# the modular map


@pytest.mark.parametrize("classes", [1, 2, 3, 6, 8, 91])
@pytest.mark.parametrize("scale", [False, True])
def test_modular_is_what_the_formula_says(classes, scale):
    torch.manual_seed(0)
    scalar = Modular(classes, scale=scale)
    x, p = torch.randint(classes, (200,)), torch.randn(200, scalar.n)
    z, slopes = scalar.forward(F.one_hot(x, classes).float(), p)
    m = p[:, :classes].argmax(1)
    s = torch.ones_like(m)
    if scale:
        coprime = torch.tensor([math.gcd(a, classes) == 1 for a in range(classes)])
        s = p[:, classes:].masked_fill(~coprime, -torch.inf).argmax(1)
    assert torch.equal(z, F.one_hot((m + s * x) % classes, classes).float())
    assert not slopes.any()
    assert torch.equal(scalar.inverse(z, p)[0].argmax(1), x)


def test_modular_starts_as_the_identity():
    x = F.one_hot(torch.arange(6), 6).float()
    assert torch.equal(Modular(6, scale=True).forward(x, torch.zeros(6, 12))[0], x)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_modular_gradients_are_those_of_the_matrices(direction):
    """Independent of the indexing: one-hot vectors times explicit permutation matrices, differentiated by autograd."""
    torch.manual_seed(1)
    k, tau = 6, 0.3
    scalar = Modular(k, scale=True, temperature=tau)
    v = F.one_hot(torch.randint(k, (5,)), k).double().requires_grad_()
    p = torch.randn(5, 2 * k, dtype=torch.double, requires_grad=True)
    weights = torch.randn(5, k, dtype=torch.double)
    found = torch.autograd.grad((weights * getattr(scalar, direction)(v, p)[0]).sum(), [v, p])
    coprime = torch.tensor([math.gcd(a, k) == 1 for a in range(k)])
    shift = one_hot_through(p[:, :k], tau)
    scale = one_hot_through(p[:, k:].masked_fill(~coprime, -torch.inf), tau)
    roll = torch.zeros(k, k, k, dtype=torch.double)  # [m, x, m + x]
    times = torch.zeros(k, k, k, dtype=torch.double)  # [s, x, s x]
    for a, b in itertools.product(range(k), range(k)):
        roll[a, b, (a + b) % k] = 1
        if coprime[a]:
            times[a, b, a * b % k] = 1
    if direction == "forward":
        made = torch.einsum("bs,bx,sxy->by", scale, v, times)
        made = torch.einsum("bm,by,myz->bz", shift, made, roll)
        expected = torch.autograd.grad((weights * made).sum(), [v, p])
    else:
        made = torch.einsum("bm,bz,myz->by", shift, v, roll)
        made = torch.einsum("bs,by,sxy->bx", scale.detach(), made, times)
        expected = torch.autograd.grad((weights * made).sum(), [v, p])
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_one_hot_through_is_hard_ahead_and_soft_behind():
    logits = torch.tensor([[0.2, 0.9, -0.3]], dtype=torch.double, requires_grad=True)
    weights = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.double)
    hard = one_hot_through(logits, 0.1)
    assert hard.tolist() == [[0.0, 1.0, 0.0]]
    (found,) = torch.autograd.grad((weights * hard).sum(), logits)
    (expected,) = torch.autograd.grad((weights * (logits / 0.1).softmax(-1)).sum(), logits)
    assert torch.allclose(found, expected)


def test_modular_refuses_other_spaces():
    with pytest.raises(SpecError, match="one-hot labels of those numbers"):
        Modular(3).check(OneHot((2, 4), 4))
    with pytest.raises(SpecError, match="one-hot labels"):
        Modular(3).check(Real((2,)))


@pytest.mark.parametrize("counts", [(2, 2), (5, 3, 4), (7, 7, 7), (1, 6)])
@pytest.mark.parametrize("kind", ["coupling", "made", "lstm"])
def test_flows_of_labels_are_bijections_with_mass_one(counts, kind):
    torch.manual_seed(0)
    same = len(set(counts)) == 1
    front = ToOneHot(Categories((len(counts),), counts[0] if same else counts))
    codes, width = front.codes, max(counts)
    scalar = Modular(codes.classes, scale=True)
    features = len(counts)
    if kind == "coupling":
        network = partial(LabelMLP, classes=width, hidden=(8,))
        layers = [Coupling(scalar, codes, alternating_mask(features, flip=f), network) for f in (False, True)]
    elif kind == "made":
        order = list(range(features))[::-1]
        layers = [Autoregressive(scalar, codes, MaskedMLP(features, scalar.n, width=width, hidden=(8,), order=order))]
    else:
        layers = [Autoregressive(scalar, codes, CausalLSTM(width, scalar.n, hidden=4))]
    flow = shaken(Flow(Chain(front, *layers), AutoregressiveCategorical(codes, hidden=(8,)))).double()
    x = states(counts)
    z = flow.encode(x)
    assert len(z.argmax(-1).unique(dim=0)) == len(x)
    assert torch.equal(flow.decode(z), x)
    assert abs(float(flow.log_prob(x).detach().exp().sum()) - 1) < 1e-9
    drawn, logp = flow.sample_and_log_prob(20)
    assert torch.allclose(flow.log_prob(drawn), logp)


def test_every_parameter_of_a_deep_discrete_flow_gets_a_gradient():
    for structure, scale in itertools.product(("bipartite", "autoregressive"), (False, True)):
        flow = shaken(Discrete(classes=(5, 5, 5), layers=3, structure=structure, scale=scale, hidden=(8,)).build())
        flow(states((5, 5, 5))).mean().backward()
        for name, p in flow.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name
            assert p.grad.any() or ("hidden" in name), name


# networks


def test_a_table_looks_up_the_row_of_the_labels_either_way():
    torch.manual_seed(0)
    table = shaken(LabelTable(3, 4, classes=5))
    labels = torch.randint(5, (20, 3))
    x = F.one_hot(labels, 5).float()
    expected = table.rows[labels @ torch.tensor([25, 5, 1])]
    assert torch.equal(table(x), expected)
    assert torch.allclose(table(x.clone().requires_grad_()), expected)
    with pytest.raises(SpecError, match="at most 1,048,576 rows"):
        LabelTable(10, 1, classes=91)


@pytest.mark.parametrize(
    "net",
    [
        lambda: CausalLSTM(3, 4, hidden=5, layers=2, zero=False),
        lambda: CausalTransformer(3, 4, length=6, hidden=8, blocks=1, heads=2, zero=False),
        lambda: AutoregressiveTable(6, 4, classes=3),
    ],
)
def test_causal_networks_see_what_comes_before(net):
    torch.manual_seed(0)
    net = shaken(net()).eval()
    x = F.one_hot(torch.randint(3, (4, 6)), 3).float()
    out = net(x)
    for i in range(6):
        changed = x.clone()
        changed[:, i] = changed[:, i].roll(1, -1)
        moved = (net(changed) != out).any(-1).any(0)
        assert not moved[: i + 1].any()
        assert i == 5 or moved[i + 1]


def test_an_lstm_one_token_at_a_time_is_the_lstm():
    torch.manual_seed(0)
    net = shaken(CausalLSTM(3, 4, hidden=5, context=2)).double()
    x, given = torch.randn(2, 6, 3, dtype=torch.double), torch.randn(2, 6, 2, dtype=torch.double)
    whole = net(x, given)
    cache, before = net.begin(x, given), x[:, :0]
    for i in range(6):
        out, cache = net.extend(before, i, cache)
        assert torch.allclose(out[:, 0], whole[:, i])
        before = x[:, i : i + 1]
    pair, _ = net.extend(x[:, :1], 0, net.begin(x, given))
    assert torch.allclose(pair, whole[:, :2])


@pytest.mark.parametrize("make", ["lstm", "transformer"])
@pytest.mark.parametrize("flip", [False, True])
def test_sequences_steer_couplings_of_alternating_labels(make, flip):
    def network(inputs, outputs, length):
        if make == "lstm":
            return BidirectionalLSTM(inputs, outputs, hidden=4, zero=False)
        return LabelTransformer(inputs, outputs, length=length, hidden=8, blocks=1, heads=2)

    torch.manual_seed(0)
    space = OneHot((5, 3), 3)
    scalar = Modular(3)
    layer = Coupling(
        scalar, space, alternating_mask(5, flip=flip), partial(LabelSequence, n=scalar.n, make=network, classes=3)
    )
    shaken(layer)
    x = space.random(50)
    z = layer(x)[0]
    assert torch.equal(layer.inverse(z)[0], x)
    assert not torch.equal(z, x)


def test_a_dense_net_hands_everything_on():
    net = DenseNet(3, 2, hidden=8, depth=2, context=4, zero=False)
    x, c = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 4, requires_grad=True)
    out = net(x, c)
    assert out.shape == (2, 2, 4, 4)
    assert net.out.in_channels == 3 + 8
    out.sum().backward()
    assert x.grad.any()
    assert c.grad.any()
    assert not DenseNet(3, 2, hidden=8, depth=2)(x).any()
    with pytest.raises(SpecError, match="hidden / depth"):
        DenseNet(3, 2, hidden=3, depth=4)


# bases


def test_discretised_logistics_agree_with_scipy_far_into_both_tails():
    k = torch.tensor([-400.0, -40.0, -3.0, 0.0, 2.0, 35.0, 400.0], dtype=torch.double)
    mean, scale = 0.7, 1.9
    found = discretised_logistic(k, *(torch.full((7, 1), v, dtype=torch.double) for v in (0.0, mean, math.log(scale))))
    law = logistic(mean, scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.log(law.cdf(k + 0.5) - law.cdf(k - 0.5))
        high = np.log(law.sf(k - 0.5) - law.sf(k + 0.5))
    for i, value in enumerate(k.tolist()):
        expected = low[i] if value < mean else high[i]
        assert math.isclose(float(found[i]), expected, rel_tol=1e-9)


def test_a_mixture_of_discretised_logistics_adds_up_to_one():
    base = shaken(DiscretisedLogistic((1,), components=3, unit=4.0)).double()
    k = torch.arange(-3000, 3001, dtype=torch.double)[:, None]
    assert abs(float(base.log_prob(k).detach().exp().sum()) - 1) < 1e-6


def test_discretised_logistics_start_on_the_batch():
    torch.manual_seed(0)
    x = (60 + 25 * torch.randn(4000, 2)).round()
    for components in (1, 5):
        base = DiscretisedLogistic((2,), components=components, unit=32.0)
        before = float(base.log_prob(x).detach().mean())
        pf.initialise(base, x)
        after = float(base.log_prob(x).detach().mean())
        best = -2 * (math.log(25) + 0.5 * math.log(2 * math.pi * math.e))
        assert after > before
        assert after > best - 0.2


def test_a_conditional_discretised_logistic_follows_its_context():
    base = DiscretisedLogistic((2, 1, 1), context=Real((3, 1, 1)), network=partial(DenseNet, hidden=4, depth=1))
    shaken(base)
    x, c = torch.zeros(4, 2, 1, 1), torch.randn(4, 3, 1, 1)
    assert len(base.log_prob(x, c).unique()) == 4
    with pytest.raises(SpecError, match="a context and a network"):
        DiscretisedLogistic((2,), context=3)


def test_whole_numbers_beyond_what_the_type_holds_are_refused():
    flow = Flow(Coupling(RoundedShift(), Integers((2,)), half_mask(2)), DiscretisedLogistic((2,)))
    with pytest.raises(DomainError, match=r"up to 16777216 in x.*convert the data and the model to torch.float64"):
        flow.log_prob(torch.full((1, 2), 2.0**25))
    assert flow.double().log_prob(torch.full((1, 2), 2.0**25, dtype=torch.double)).isfinite().all()


def test_shifts_of_large_whole_numbers_are_exact():
    layer = shaken(Coupling(RoundedShift(), Integers((2,)), half_mask(2))).double()
    x = torch.randint(2**40, (1000, 2)).double()
    z = layer(x)[0]
    assert not torch.equal(z, x)
    assert torch.equal(layer.inverse(z)[0], x)


def test_one_hot_space():
    space = OneHot((2, 3), (3, 2))
    x = space.random(50)
    assert space.contains(x).all()
    assert not space.contains(torch.tensor([[[0.0, 1, 0], [0, 0, 1]]])).any()
    assert not space.contains(torch.tensor([[[0.5, 0.5, 0], [1, 0, 0]]])).any()
    assert not space.contains(torch.zeros(1, 2, 3)).any()
    assert space.contains(space.nearest(torch.randn(20, 2, 3))).all()
    for wrong in ({"shape": (2, 4), "classes": 3}, {"shape": (3,), "classes": 3}, {"shape": (2, 0), "classes": 0}):
        with pytest.raises(SpecError):
            OneHot(**wrong)


def test_categorical_bases_start_at_the_frequencies():
    x = torch.tensor([[0, 1]] * 30 + [[2, 1]] * 10)
    for base in (Categorical(Categories((2,), (3, 2))), AutoregressiveCategorical((3, 2))):
        pf.initialise(base, x)
        expected = math.log(31 / 43) + math.log(41 / 42)
        assert math.isclose(float(base.log_prob(x[:1]).detach()), expected, abs_tol=1e-5)


# systems


def test_xor_becomes_a_product():
    """The table of Tran et al.: an independent base alone needs 1.806 bits, and the entropy is 1.3503."""
    p = torch.tensor([0.63, 0.07, 0.03, 0.27])
    torch.manual_seed(0)
    spec = Discrete(classes=(2, 2), structure="bipartite", base="factorised", network="table", layers=2)
    model, x = spec.build(), states((2, 2))
    pf.initialise(model, x[torch.multinomial(p, 5000, replacement=True)])
    start = -float((p * model.log_prob(x)).detach().sum()) / math.log(2)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 400)
        loss = -(p * model(x)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert abs(start - 1.806) < 0.01
    assert abs(float(loss.detach()) / math.log(2) - 1.3503) < 1e-3


@pytest.mark.parametrize("network", ["lstm", "transformer", "table", "mlp"])
@pytest.mark.parametrize("structure", ["bipartite", "autoregressive"])
def test_discrete_systems_with_every_network(structure, network):
    torch.manual_seed(0)
    spec = Discrete(
        classes=(3,) * 4, structure=structure, network=network, layers=2, hidden=(8,), heads=2, base="autoregressive"
    )
    model = shaken(spec.build()).double()
    x = states((3,) * 4)
    assert abs(float(model.log_prob(x).detach().exp().sum()) - 1) < 1e-9
    assert torch.equal(model.decode(model.encode(x)), x)
    drawn, logp = model.sample_and_log_prob(8)
    assert torch.allclose(model.log_prob(drawn), logp)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"classes": ()}, "numbers >= 1"),
        ({"classes": (2, 0)}, "numbers >= 1"),
        ({"classes": (2, 3), "network": "lstm"}, "expected network 'mlp'"),
        ({"classes": (2, 2), "temperature": 0.0}, "temperature > 0"),
        ({"classes": (2, 2), "hidden": ()}, "hidden to be widths"),
        ({"classes": (2, 2), "layers": -1}, "layers >= 0"),
        ({"classes": (2, 2), "groups": 3}, "groups <= 2"),
        ({"classes": (2, 2), "bijection": "ranks", "scale": True}, "'shift' for a scale"),
    ],
)
def test_discrete_systems_refuse_what_cannot_be(fields, sentence):
    with pytest.raises(SpecError, match=sentence):
        Discrete(**fields)


def test_idf_maps_whole_numbers_to_whole_numbers_and_back():
    torch.manual_seed(0)
    model = shaken(IDF(shape=(1, 8, 8), scales=2, steps=3, hidden=8, depth=2).build(), 0.2)
    x = torch.randint(256, (10, 1, 8, 8)).float()
    codes = pf.evaluation.encode(model, x)
    assert [tuple(c.shape[1:]) for c in codes] == [(2, 4, 4), (8, 2, 2)]
    assert all(torch.equal(c, c.round()) for c in codes)
    assert torch.equal(pf.evaluation.decode(model, codes), x)
    shifted = sum(float((c - c.clamp(0, 255)).abs().sum()) for c in codes)
    assert shifted > 0  # it leaves the range of the levels
    assert any(isinstance(layer, Slice) for layer in model.chain.layers)
    assert model.exactness == pf.Exactness.EXACT


@pytest.mark.dear
def test_idf_learns_neighbouring_pixels():
    torch.manual_seed(0)
    walk = torch.randint(-2, 3, (400, 1, 4, 4)).cumsum(2).cumsum(3) + 60.0
    spec = IDF(shape=(1, 4, 4), levels=128, scales=1, steps=4, hidden=32, depth=2)
    model = spec.build()
    pf.initialise(model, walk)
    alone = model.space.bits(float(model.log_prob(walk).detach().mean()))
    optimiser = torch.optim.Adam(model.parameters(), lr=4e-3)
    for _ in range(150):
        loss = -model(walk).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert model.space.bits(float(model.log_prob(walk).detach().mean())) < alone - 0.3


# learning by exact expectations over choices


def follower(kind):
    """Two labels, each as frequent as the others, the second one more than the first one, modulo 4."""
    first = torch.arange(4)
    x = torch.stack([first, (first + 1) % 4], 1)
    spec = Discrete(classes=(4, 4), layers=1, base="factorised", network="table", warmup=30, **kind)
    return spec.build(), spec, x


@pytest.mark.parametrize("kind", [{}, {"bijection": "ranks"}, {"scale": True}])
def test_uniform_labels_learn_where_to_go(kind):
    """The sum over all shifts is the same for uniform labels; only the first steps say that they go to 0."""
    torch.manual_seed(0)
    model, spec, x = follower(kind)
    loss = spec.loss(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss((x,)).backward()
        optimiser.step()
    nats = -float(model.log_prob(x).detach().mean())
    assert abs(nats - math.log(4)) < 0.03  # log 4 for the first label, and nothing for the second one


def test_ranks_are_those_of_the_sorted_predictions():
    torch.manual_seed(0)
    p, x = torch.randn(50, 7), torch.randint(7, (50,))
    z = RankedLabels(7).forward(F.one_hot(x, 7).float(), p)[0].argmax(1)
    assert torch.equal(z, (p > p.gather(1, x[:, None])).sum(1))


def test_ranks_reach_the_entropy_of_the_sorted_table_and_shifts_do_not():
    """Of p(x2 | x1) in decreasing order, the best that any bijection before independent labels can do."""
    joint = torch.tensor([[0.3, 0.02, 0.18], [0.01, 0.2, 0.04], [0.06, 0.01, 0.18]])
    ordered = joint.sort(1, descending=True).values.sum(0)
    best = float(torch.special.entr(joint.sum(1)).sum() + torch.special.entr(ordered).sum())
    reached = {}
    for bijection in ("shift", "ranks"):
        torch.manual_seed(0)
        model = Discrete(
            classes=(3, 3), layers=1, base="factorised", network="table", bijection=bijection, warmup=50
        ).build()
        loss = pf.objectives.default_objective(model)
        optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
        x, weights = states((3, 3)), 9 * joint.flatten()
        for step in range(150):
            optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 150)
            optimiser.zero_grad()
            loss((x,), weights).backward()
            optimiser.step()
        reached[bijection] = -float((joint.flatten() * model.log_prob(x)).detach().sum())
    assert abs(reached["ranks"] - best) < 0.01
    assert reached["shift"] > best + 0.02


@pytest.mark.parametrize("network", ["mlp", "lstm", "transformer"])
def test_groups_of_places_are_mapped_in_turn(network):
    torch.manual_seed(0)
    spec = Discrete(
        classes=(3,) * 7,
        structure="bipartite",
        groups=3,
        layers=3,
        network=network,
        hidden=(8,),
        heads=2,
        base="factorised",
    )
    model = shaken(spec.build())
    x = torch.randint(3, (40, 7))
    places = [layer.halves.mapped.tolist() for layer in model.chain.layers if isinstance(layer, Coupling)]
    assert places == [[0, 3, 6], [1, 4], [2, 5]]
    assert torch.equal(model.decode(model.encode(x)), x)


def test_learning_by_expectations_refuses_other_models():
    with pytest.raises(SpecError, match="layers of a LabelMap"):
        pf.objectives.ExpectedChoices(AutoregressiveCategorical((3, 2)))
    with pytest.raises(SpecError, match="warmup >= 0"):
        pf.objectives.ExpectedChoices(Discrete(classes=(2, 2), hidden=(4,)).build(), warmup=-1)


def test_a_table_of_labels_learns_by_expectations(tmp_path):
    rows = np.array([["a", "x"], ["b", "y"], ["c", "z"]])[np.arange(90) % 3]
    table = pf.Table({"one": rows[:, 0], "two": rows[:, 1]}).fit("discrete", max_steps=3, progress=False, hidden=(4,))
    assert "expected costs" in table.training["objective"]


# argmax flows


def test_numbers_behind_an_argmax_have_the_label_as_their_largest():
    torch.manual_seed(0)
    front = ToOneHot(Categories((3,), (4, 1, 2)))
    layer = ArgMax(front.codes, ConditionalNormal(Real((7,)), 12, hidden=(4,)))
    x = front(torch.stack([torch.randint(4, (200,)), torch.zeros(200, dtype=torch.long), torch.randint(2, (200,))], 1))[
        0
    ]
    z, dlogp = layer(x)
    assert torch.equal(layer.inverse(z)[0], x)
    assert torch.allclose(layer.inverse(z)[1], -dlogp, atol=1e-3)
    for part, numbers in zip(x.unbind(1), z.split((4, 1, 2), 1), strict=True):
        assert torch.equal(numbers.argmax(1), part.argmax(1))
    with pytest.raises(ShapeError, match="context of shape"):
        ArgMax(front.codes, ConditionalNormal(Real((7,)), 5, hidden=(4,)))


def test_an_argmax_flow_without_layers_has_equal_probabilities():
    """Where the numbers are independent and normal, every label is the largest one equally often."""
    torch.manual_seed(0)
    front, line = ToOneHot(Categories((1,), 3)), Real((3,))
    flow = Flow(Chain(front, ArgMax(front.codes, StudentT(line, 5.0))), Normal(line)).double()
    with torch.no_grad():
        logp = flow.log_prob(torch.arange(3).repeat_interleave(40_000)[:, None]).reshape(3, -1)
    assert torch.allclose(logp.exp().mean(1), torch.full((3,), 1 / 3, dtype=torch.double), atol=0.02)
    assert (logp.mean(1) < math.log(1 / 3)).all()
