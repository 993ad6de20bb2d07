"""Training in less memory: the same gradients, memory that does not grow with depth, and refusals instead of wrong numbers."""

import copy
import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import pushforward as pf
from pushforward.core import Box, Categories, Chain, Distribution, Flow, Inverse, Real, Transform, Undo
from pushforward.core.memory import memory_plan, reconstruction_drift, saving, set_memory
from pushforward.distributions import Normal
from pushforward.errors import InversionError, SpecError, TrainingError
from pushforward.laws import all_cases, covering
from pushforward.laws.interface import example
from pushforward.networks import MLP
from pushforward.transforms import (
    LU,
    ActNorm,
    Affine,
    Autoregressive,
    BatchNorm,
    Coupling,
    Dequantise,
    Elementwise,
    LogisticMixture,
    Logit,
    Permutation,
    RationalQuadratic,
    Slice,
    half_mask,
)

MODES = ("invert", "checkpoint")
D = 4


def has_chain(case):
    return issubclass(case.classes[0], Distribution) and Chain in case.classes


CASES = [case for case in all_cases() if has_chain(case)]


def stirred(node, seed=0, scale=0.4):
    """The node in float64 with every parameter moved off its start."""
    torch.manual_seed(seed)
    for p in node.parameters():
        p.data.add_(scale / max(p.shape[-1], 4) ** 0.5 * torch.randn_like(p))
    return node.double()


def couplings(layers, scalar=None, context=0, width=8):
    space = Real((D,))
    scalar = scalar or Affine()

    def network(*sizes, **options):
        return MLP(*sizes, hidden=(width, width), activation="tanh", **options)

    return [Coupling(scalar, space, half_mask(D, flip=i % 2 == 1), network, context=context) for i in range(layers)]


def gradients(node, x, context, mode, *, of_x=True, seed=3):
    """Values and gradients (of x, the context and every parameter) of a weighted sum of log-likelihoods."""
    x = x.detach().clone().requires_grad_(of_x and x.is_floating_point())
    if context is not None:
        context = context.detach().clone().requires_grad_(context.is_floating_point())
    node.zero_grad(set_to_none=True)
    torch.manual_seed(seed)
    with saving(node, mode):
        logp = node.forward(x, context)
        (logp * torch.linspace(0.5, 1.5, len(logp), dtype=logp.dtype)).sum().backward()
    found = {"x": x.grad, "context": None if context is None else context.grad}
    return logp.detach(), found | {n: None if p.grad is None else p.grad.clone() for n, p in node.named_parameters()}


def require_same(node, x, context=None, modes=MODES, **options):
    expected, truth = gradients(node, x, context, "store", **options)
    for mode in modes:
        logp, found = gradients(node, x, context, mode, **options)
        torch.testing.assert_close(logp, expected, rtol=1e-12, atol=1e-12)
        for name, gradient in truth.items():
            if gradient is None:
                assert found[name] is None, (mode, name)
            else:
                torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-9 * gradient.abs().max().item())


# The same gradients


COVERING = covering(CASES, systems=False)
EVERY_MODE = [
    pytest.param(
        case,
        training,
        id=f"{case.name}-{'training' if training else 'evaluation'}",
        marks=[] if case.name in COVERING and training == i % 2 else [pytest.mark.dear],
    )
    for i, case in enumerate(CASES)
    for training in (False, True)
]
"""Every system in both modes; `make test` has every class of layers in one of them."""


@pytest.mark.parametrize(("case", "training"), EVERY_MODE)
def test_every_system_has_the_same_gradients_in_every_mode(case, training):
    node, x, context = example(case, n=9)
    node.train(training)
    before = copy.deepcopy(node.state_dict())
    for of_x in (True, False):
        expected, truth = gradients(node, x, context, "store", of_x=of_x)
        after = copy.deepcopy(node.state_dict())
        for mode in MODES:
            node.load_state_dict(before)
            logp, found = gradients(node, x, context, mode, of_x=of_x)
            # Some kernels (convolutions, attention, SiLU, dot products) are others where no gradient is recorded.
            torch.testing.assert_close(logp, expected, rtol=1e-12, atol=1e-12)
            for name, gradient in truth.items():
                assert (found[name] is None) == (gradient is None), name
                if gradient is not None:
                    scale = max(gradient.abs().max().item(), 1e-12) if gradient.numel() else 1
                    torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-9 * scale, msg=name)
            # running averages move once, not once more on the way back
            assert all(torch.equal(v, node.state_dict()[k]) for k, v in after.items())
        node.load_state_dict(before)


def test_chains_that_mix_what_is_undone_checkpointed_and_stored():
    space = Real((D,))
    inner = Flow(Chain(*small_couplings(2), BatchNorm(Real((2,)))), Normal(Real((2,))))
    layers = [
        *couplings(2, RationalQuadratic(4)),
        BatchNorm(space),
        Chain(ActNorm(space), LU(space), Chain(Permutation(space))),
        *couplings(2, LogisticMixture(2)),
        Inverse(Chain(*couplings(3), Inverse(LU(space)))),
        Inverse(Coupling(LogisticMixture(2), space, half_mask(D))),
        Slice(space, 2, inner),
        *small_couplings(3),
    ]
    flow = stirred(Flow(Chain(*layers), Normal(Real((2,)))))
    flow.eval()
    plan = [kept for _, kept in memory_plan(flow)]
    assert plan == ["invert"] * 6 + ["checkpoint"] * 2 + ["invert"] * 5 + ["checkpoint"] + ["invert"] * 3
    require_same(flow, torch.randn(7, D, dtype=torch.float64))
    flow.train()
    kept = dict(memory_plan(flow))
    assert kept["2 (BatchNorm)"] == "store"
    assert kept["13 (Slice)"] == "store"
    assert [name for name, _ in memory_plan(flow)][8:12] == [
        "8 (LU)",
        "9 (inverse of Coupling)",
        "10 (inverse of Coupling)",
        "11 (inverse of Coupling)",
    ]


def small_couplings(layers):
    space = Real((2,))
    return [Coupling(Affine(), space, half_mask(2, flip=i % 2 == 1)) for i in range(layers)]


def test_an_embedding_of_the_context_learns():
    embed = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    flow = stirred(Flow(Chain(*couplings(5, context=2)), Normal(Real((D,))), embed, Real((3,))))
    x, context = torch.randn(6, D, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)
    require_same(flow, x, context)
    assert gradients(flow, x, context, "invert")[1]["embed.0.weight"].abs().max() > 0


def test_a_layer_used_twice_gets_both_gradients():
    one, two = couplings(2)
    flow = stirred(Flow(Chain(one, two, one, LU(Real((D,))), two, Inverse(one)), Normal(Real((D,)))))
    require_same(flow, torch.randn(6, D, dtype=torch.float64))


def test_a_weight_used_twice_in_a_layer_is_counted_once():
    flow = Flow(Chain(*couplings(2)), Normal(Real((D,))))
    for layer in flow.chain.layers:
        layer.net.hidden[1].weight = nn.Parameter(torch.eye(8))
        layer.net.hidden.append(nn.Linear(8, 8))
        layer.net.hidden[2].weight = layer.net.hidden[1].weight
    require_same(stirred(flow), torch.randn(6, D, dtype=torch.float64))


def test_draws_with_gradients():
    flow = stirred(Flow(Chain(*couplings(3, context=2), LU(Real((D,)))), Normal(Real((D,)))))
    context = torch.randn(5, 2, dtype=torch.float64)
    found = []
    for mode in ("store", *MODES):
        flow.zero_grad()
        torch.manual_seed(0)
        given = context.clone().requires_grad_()
        with saving(flow, mode):
            x, logp = flow.rsample_and_log_prob(3, given)
            (x.square().sum() + logp.square().sum()).backward()
        found.append([given.grad, *(p.grad for p in flow.parameters())])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-9, atol=1e-9)


def test_dropout_draws_the_same_numbers_again():
    flow = pf.build("realnvp", features=D, layers=4, hidden=(8, 8), dropout=0.4)
    stirred(flow).train()
    assert {kept for _, kept in memory_plan(flow)} == {"checkpoint"}
    x = torch.randn(6, D, dtype=torch.float64)
    require_same(flow, x)
    assert not torch.equal(gradients(flow, x, None, "store")[0], gradients(flow, x, None, "store", seed=4)[0])
    flow.eval()
    assert {kept for _, kept in memory_plan(flow)} == {"invert"}


def test_frozen_parameters_get_no_gradient():
    flow = stirred(Flow(Chain(*couplings(4)), Normal(Real((D,)))))
    for p in flow.chain.layers[1].parameters():
        p.requires_grad_(False)
    require_same(flow, torch.randn(6, D, dtype=torch.float64))
    for p in flow.parameters():
        p.requires_grad_(False)
    require_same(flow, torch.randn(6, D, dtype=torch.float64))
    with saving(flow, "invert"):
        assert not flow.log_prob(torch.randn(6, D, dtype=torch.float64)).requires_grad


def test_gradients_arrive_where_autograd_delivers_them():
    flow = stirred(Flow(Chain(*couplings(4)), Normal(Real((D,)))))
    x = torch.randn(6, D, dtype=torch.float64)
    truth = torch.autograd.grad(flow.log_prob(x).sum(), list(flow.parameters()))
    seen = []
    handles = [p.register_post_accumulate_grad_hook(lambda p: seen.append(p)) for p in flow.parameters()]
    set_memory(flow, "invert")
    found = torch.autograd.grad(flow.log_prob(x).sum(), list(flow.parameters()))
    torch.testing.assert_close(found, truth, rtol=1e-9, atol=1e-9)
    assert not seen
    assert all(p.grad is None for p in flow.parameters())
    loss = flow.log_prob(x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert len(seen) == 2 * len(list(flow.parameters()))
    torch.testing.assert_close([p.grad / 2 for p in flow.parameters()], list(truth), rtol=1e-9, atol=1e-9)
    for handle in handles:
        handle.remove()


def test_two_forwards_before_one_backward():
    flow = stirred(Flow(Chain(*couplings(3)), Normal(Real((D,)))))
    a, b = torch.randn(2, 6, D, dtype=torch.float64)

    def both():
        flow.zero_grad()
        (flow.log_prob(a).sum() - flow.log_prob(b).square().sum()).backward()
        return [p.grad.clone() for p in flow.parameters()]

    truth = both()
    set_memory(flow, "invert")
    torch.testing.assert_close(both(), truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_hooks_of_parts_are_called(mode):
    part = Chain(*couplings(2))
    flow = stirred(Flow(Chain(*couplings(1), part, Inverse(Chain(*couplings(1)))), Normal(Real((D,)))))
    seen = []
    part.register_forward_hook(lambda *_: seen.append("part"))
    part.layers[0].register_forward_hook(lambda *_: seen.append("layer"))
    require_same(flow, torch.randn(6, D, dtype=torch.float64), modes=(mode,))
    seen.clear()
    with saving(flow, mode):
        flow(torch.randn(6, D, dtype=torch.float64))
    assert seen == ["layer", "part"]


def test_a_context_that_is_no_tensor_is_checkpointed():
    class Picky(Transform):
        undo = Undo.BOTH

        def __init__(self):
            super().__init__()
            self.x_space = self.z_space = Real((D,))
            self.scale = nn.Parameter(torch.zeros(D, dtype=torch.float64))

        def forward(self, x, context=None):
            return x + self.scale * context["a"], self._nothing(x)

        def inverse(self, z, context=None):
            return z - self.scale * context["a"], self._nothing(z)

    chain, x, given = Chain(Picky(), Picky()), torch.randn(3, D, dtype=torch.float64), {"a": torch.ones(D).double()}
    found = []
    for mode in ("store", "invert"):
        set_memory(chain, mode)
        given["a"].grad = None
        given["a"].requires_grad_()
        chain(x, given)[0].square().sum().backward()
        found.append(given["a"].grad)
    assert torch.equal(*found)


def test_labels_are_not_asked_for_a_gradient():
    space = Categories((3,), 4)
    layers = [Permutation(space), Permutation(space), Dequantise(space), Logit(Box((3,))), LU(Real((3,)))]
    flow = Flow(Chain(*layers), Normal(Real((3,)))).double()
    assert [kept for _, kept in memory_plan(flow)] == ["checkpoint"] * 4 + ["invert"]
    require_same(flow, torch.randint(4, (7, 3)))


# Precision


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast(dtype):
    flow = stirred(Flow(Chain(*couplings(4)), Normal(Real((D,))))).float()
    x = torch.randn(64, D)
    found = {}
    for mode in ("store", *MODES):
        flow.zero_grad()
        with torch.autocast("cpu", dtype), saving(flow, mode):
            loss = flow(x).mean()
            inside = torch.autograd.grad(loss, list(flow.parameters()), retain_graph=True)
        loss.backward()
        found[mode] = [p.grad for p in flow.parameters()]
        assert all(g.abs().max() > 0 for g in found[mode])
        torch.testing.assert_close(list(inside), found[mode])
    torch.testing.assert_close(found["checkpoint"], found["store"], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found["invert"], found["store"], rtol=0.05, atol=0.02)


def deep(layers=64, scalar=None, scale=0.5):
    flow = Flow(Chain(*couplings(layers, scalar)), Normal(Real((D,))))
    return stirred(flow, scale=scale).float()


def worst(found, truth):
    """Largest error of a gradient, relative to that parameter's largest entry."""
    return max(((found[n] - g).abs().max() / g.abs().max()).item() for n, g in truth.items() if g is not None)


@pytest.mark.parametrize(("scalar", "layers"), [(Affine(), 64), (RationalQuadratic(8), 16)], ids=["affine", "spline"])
def test_float32_is_as_good_as_ordinary_training_when_the_drift_is_small(scalar, layers):
    flow, x = deep(layers, scalar, scale=0.3), torch.randn(256, D)
    drift = max(d.along for d in reconstruction_drift(flow, x))
    truth = gradients(copy.deepcopy(flow).double(), x.double(), None, "store")[1]
    ordinary = worst(gradients(flow, x, None, "store")[1], truth)
    inverted = worst(gradients(flow, x, None, "invert")[1], truth)
    assert 0 < drift < 1e-4
    assert inverted < max(20 * ordinary, 1e-3)


def test_drift_is_the_error_of_the_inputs_recomputed():
    space = Real((D,))
    diagonal = pf.transforms.Diagonal(space)
    flow = Flow(
        Chain(diagonal, BatchNorm(space), *couplings(2), Autoregressive(Affine(), space, made())), Normal(space)
    )
    stirred(flow).float().eval()
    x = torch.randn(50, D)
    found = reconstruction_drift(flow, x)
    assert [d.kept for d in found] == ["invert"] * 4 + ["checkpoint"]
    assert [d.layer for d in found] == [name for name, _ in memory_plan(flow)]
    assert math.isnan(found[-1].alone)
    assert math.isnan(found[-1].along)
    # the last layer that is undone starts from what was there: both numbers are the same
    assert found[3].alone == found[3].along
    inputs = [x]
    with torch.no_grad():
        for layer in flow.chain.layers:
            inputs.append(layer(inputs[-1])[0])
        v = inputs[4]
        for i in (3, 2, 1, 0):
            v = flow.chain.layers[i].inverse(v)[0]
            expected = (v - inputs[i]).abs().max() / max(1.0, inputs[i].abs().max().item())
            assert found[i].along == pytest.approx(expected.item())
            alone = (flow.chain.layers[i].inverse(inputs[i + 1])[0] - inputs[i]).abs().max()
            assert found[i].alone == pytest.approx((alone / max(1.0, inputs[i].abs().max().item())).item())


def made():
    return pf.networks.MaskedMLP(D, 2, hidden=(8,))


def test_drift_shows_layers_that_lose_numbers():
    flow = deep(4)
    squash = Elementwise(Affine(bound=40.0), Real((D,)))
    squash.free.data[..., 0] = -12.0
    squash.free.data[..., 1] = 3.0
    bad = Flow(Chain(*flow.chain.layers, squash), flow.base)
    x = torch.randn(64, D)
    found = reconstruction_drift(bad, x)
    assert found[-1].alone > 1e-3
    assert max(d.along for d in reconstruction_drift(flow, x)) < 1e-5
    assert reconstruction_drift(bad.chain, x) == found


# Memory


def saved_bytes(flow, x, mode):
    """Bytes that a forward pass saves for the backward pass, each storage once and parameters left out."""
    storages = {}
    own = {p.untyped_storage().data_ptr() for p in flow.parameters()} | {x.untyped_storage().data_ptr()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), saving(flow, mode):
        loss = flow(x).mean()
    held = sum(storage.nbytes() for storage in storages.values())
    loss.backward()
    return held


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "memory.py"
    spec = importlib.util.spec_from_file_location("benchmarks_memory", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def peak(benchmark, flow, x, mode):
    set_memory(flow, mode)
    allocations = benchmark.Allocations()
    allocations.know([x, *flow.parameters(), *flow.buffers()])
    flow.zero_grad(set_to_none=True)
    with allocations:
        (-flow(x).mean()).backward()
    return allocations.peak([p.grad for p in flow.parameters()])


@pytest.mark.dear
@pytest.mark.parametrize("name", ["realnvp", "nsf", "iaf"])
def test_memory_does_not_grow_with_the_number_of_layers(benchmark, name):
    options = {"nsf": {"structure": "coupling", "hidden": 32}}.get(name, {"hidden": (32, 32)})
    x = torch.randn(200, D)
    held, peaks = {}, {}
    for layers in (8, 64):
        flow = pf.build(name, features=D, layers=layers, **options)
        for mode in ("store", "invert"):
            held[layers, mode] = saved_bytes(flow, x, mode)
            peaks[layers, mode] = peak(benchmark, flow, x, mode)
    assert held[64, "invert"] <= 1.3 * held[8, "invert"]
    assert peaks[64, "invert"] <= 1.3 * peaks[8, "invert"]
    if name != "iaf":  # whose layers keep little anyway
        assert peaks[64, "store"] > 4 * peaks[8, "store"]
        assert peaks[64, "invert"] < peaks[8, "store"]


def test_checkpoints_keep_one_event_a_layer(benchmark):
    x, peaks = torch.randn(200, D), {}
    for layers in (8, 64):
        flow = pf.build("maf", features=D, layers=layers, hidden=(32, 32))
        peaks[layers] = peak(benchmark, flow, x, "invert")
    # an event and a contribution for each row and layer, and nothing of the networks
    assert peaks[64] - peaks[8] <= 56 * x.shape[0] * 4 * (D + 2)


def test_the_tracker_counts_what_is_alive(benchmark):
    kept = torch.zeros(1000)
    with benchmark.Allocations() as allocations:
        a = torch.ones(1000)
        b = a + kept
        del a
        c = b[:10].view(5, 2)
        del b
        d = torch.ones(10_000)
        del c, d
        e = torch.ones(500)
    assert allocations.peak([]) == 4 * (1000 + 10_000)
    assert allocations.peak([e]) == 4 * (1000 + 10_000)
    del e


# Where the plain path is taken


def test_nothing_changes_without_gradients():
    flow = stirred(Flow(Chain(*couplings(3)), Normal(Real((D,)))))
    x = torch.randn(6, D, dtype=torch.float64)
    truth = flow.log_prob(x).detach()
    set_memory(flow, "invert")
    with torch.no_grad():
        assert torch.equal(flow.log_prob(x), truth)
        chain = Chain(Shift(random=True, counts=True))
        set_memory(chain, "invert")
        chain(torch.randn(6, D))


@pytest.mark.parametrize("mode", MODES)
def test_functional_transforms_and_compilers_see_the_plain_path(mode):
    flow = stirred(Flow(Chain(*couplings(2)), Normal(Real((D,)))))
    x = torch.randn(6, D, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (truth,) = torch.autograd.grad(flow.log_prob(leaf).sum(), leaf)
    set_memory(flow, mode)
    rows = torch.func.vmap(torch.func.grad(lambda v: flow.log_prob(v[None])[0]))(x)
    torch.testing.assert_close(rows, truth, rtol=1e-9, atol=1e-9)
    compiled = torch.compile(flow, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), flow.log_prob(x))
    torch._dynamo.reset()


# Refusals


def test_second_derivatives_are_refused_or_right():
    flow = stirred(Flow(Chain(*couplings(3)), Normal(Real((D,)))))
    x = torch.randn(6, D, dtype=torch.float64)

    def penalty():
        leaf = x.clone().requires_grad_()
        (score,) = torch.autograd.grad(flow.log_prob(leaf).sum(), leaf, create_graph=True)
        return torch.autograd.grad(score.square().sum(), list(flow.parameters()), allow_unused=True)

    truth = penalty()
    set_memory(flow, "invert")
    with pytest.raises(InversionError, match="no second derivatives with memory='invert'; use memory='checkpoint'"):
        penalty()
    set_memory(flow, "checkpoint")
    torch.testing.assert_close(penalty(), truth, rtol=1e-9, atol=1e-9)


class Shift(Transform):
    """z = x + t, with a fault: random numbers, or a buffer that counts."""

    undo = Undo.BOTH

    def __init__(self, *, random=False, counts=False):
        super().__init__()
        self.x_space = self.z_space = Real((D,))
        self.shift = nn.Parameter(torch.zeros(D))
        self.register_buffer("calls", torch.zeros(()))
        self.random, self.counts = random, counts

    def forward(self, x, context=None):
        if self.counts:
            self.calls.add_(1)
        noise = torch.randn_like(x) if self.random else 0
        return x + self.shift + noise, self._nothing(x)

    def inverse(self, z, context=None):
        return z - self.shift, self._nothing(z)


def test_layers_that_break_their_promise_are_refused():
    x = torch.randn(6, D)
    for mode in MODES:
        chain = Chain(Shift(), Shift(counts=True))
        set_memory(chain, mode)
        with pytest.raises(
            InversionError, match=f"do not change their buffers with memory='{mode}', got a change in .*Shift"
        ):
            chain(x)
    chain = Chain(Shift(random=True))
    set_memory(chain, "invert")
    with pytest.raises(
        InversionError, match=r"without random numbers .* some drawn in Shift; set `undo = Undo.NOTHING`"
    ):
        chain(x)
    set_memory(chain, "checkpoint")
    chain(x)[0].sum().backward()


def test_changed_parameters_are_refused():
    x = torch.randn(6, D)
    chain = Chain(Shift(), Shift())
    set_memory(chain, "invert")
    z = chain(x)[0].sum()
    with torch.no_grad():
        chain.layers[0].shift.add_(1)
    with pytest.raises(InversionError, match="parameters of the forward pass"):
        z.backward()
    with pytest.raises(InversionError, match="parameters of the forward pass"):
        torch.func.functional_call(chain, {"layers.1.shift": torch.ones(D, requires_grad=True)}, (x,))[
            0
        ].sum().backward()


def test_torch_batch_normalisation_inside_a_network_is_stored():
    def network(inputs, outputs, context=0):
        return nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.Linear(8, outputs))

    class Without(nn.Module):
        def __init__(self, *sizes, context=0):
            super().__init__()
            self.net = network(*sizes)

        def forward(self, x, context=None):
            return self.net(x)

    space = Real((D,))
    flow = stirred(Flow(Chain(Coupling(Affine(), space, half_mask(D), Without), LU(space)), Normal(space)))
    flow.train()
    assert [kept for _, kept in memory_plan(flow)] == ["store", "invert"]
    twin = copy.deepcopy(flow)
    x = torch.randn(6, D, dtype=torch.float64)
    truth, found = gradients(twin, x, None, "store")[1], gradients(flow, x, None, "invert")[1]
    truth = {name: gradient for name, gradient in truth.items() if gradient is not None}
    assert all(torch.allclose(found[name], gradient) for name, gradient in truth.items())
    assert all(torch.equal(a, b) for a, b in zip(flow.buffers(), twin.buffers(), strict=True))


# The switch, and training with it


@pytest.mark.parametrize("mode", MODES)
def test_fit_in_less_memory_learns_the_same(mode, tmp_path):
    x = torch.randn(100, D).numpy() @ torch.tril(torch.ones(D, D)).numpy()

    def learned(**options):
        torch.manual_seed(0)
        flow = pf.build("realnvp", features=D, layers=6, hidden=(8,)).double()
        result = pf.fit(flow, x, epochs=3, batch_size=16, progress=False, **options)
        assert all(m.memory == "store" for m in flow.modules() if isinstance(m, Chain))
        return result, flow

    result, flow = learned(memory=mode)
    expected, plain = learned()
    assert result.config["memory"] == mode
    assert result.best_validation == pytest.approx(expected.best_validation, rel=1e-9)
    torch.testing.assert_close(list(flow.parameters()), list(plain.parameters()), rtol=1e-7, atol=1e-9)
    # a run may go on in another mode
    path = tmp_path / "state"
    learned(memory=mode, max_steps=8, checkpoint=path)
    _, rest = learned(resume=path)
    torch.testing.assert_close(list(rest.parameters()), list(plain.parameters()), rtol=1e-7, atol=1e-9)


def test_fit_in_less_memory_with_networks_in_half_precision():
    x, found = torch.randn(200, D), {}
    for mode in ("store", *MODES):
        torch.manual_seed(0)
        flow = pf.build("realnvp", features=D, layers=6, hidden=(16,))
        found[mode] = pf.fit(flow, x, epochs=3, batch_size=20, autocast="bf16", memory=mode, progress=False)
    assert found["checkpoint"].history[-1]["train"] == found["store"].history[-1]["train"]
    assert found["invert"].best_validation == pytest.approx(found["store"].best_validation, abs=0.02)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("mode", MODES)
def test_the_same_gradients_on_a_gpu(mode):
    flow = pf.build("nsf", features=D, layers=4, structure="coupling", hidden=16, dropout=0.2 * (mode == "checkpoint"))
    stirred(flow, scale=0.2).cuda().train()
    require_same(flow, torch.randn(50, D, dtype=torch.float64, device="cuda"), modes=(mode,))


def test_fit_refuses_what_does_not_go_together():
    flow = pf.build("realnvp", features=D, layers=2, hidden=(8,))
    with pytest.raises(SpecError, match="expected compile=True or memory='invert', got both"):
        pf.fit(flow, torch.randn(20, D), compile=True, memory="invert", progress=False)
    with pytest.raises(SpecError, match="expected memory to be one of store, invert, checkpoint, got 'less'"):
        pf.fit(flow, torch.randn(20, D), memory="less", progress=False)
    with pytest.raises(SpecError, match="expected a model with a Chain"):
        pf.fit(pf.build("mlp-density", features=1), torch.randn(20, 1), memory="invert", progress=False)


def test_the_command_has_the_option(tmp_path):
    from pushforward.cli import main

    table, out = tmp_path / "table.csv", tmp_path / "model.flow"
    table.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in torch.randn(40, 2).tolist()))
    options = ["--flow", "realnvp", "--layers", "2", "--hidden", "8", "--epochs", "1", "--no-baselines", "--quiet"]
    assert main(["fit", str(table), "-o", str(out), *options, "--memory", "invert"]) == 0
    assert pf.load(out).training["config"]["memory"] == "invert"


def test_a_bad_row_is_named_in_every_mode():
    class Bad(Shift):
        def forward(self, x, context=None):
            return torch.where(x > 50, math.inf, x + self.shift), self._nothing(x)

    x = torch.randn(40, D)
    x[3, 1] = 99.0
    for mode in ("store", *MODES):
        flow = Flow(Chain(Shift(), Bad(), Shift()), Normal(Real((D,))))
        with pytest.raises(TrainingError, match=r"epoch 1, step 1 \(rows 3 of .*chain.layers.1 \(Bad\)"):
            pf.fit(flow, x, validation=None, batch_size=40, epochs=2, memory=mode, progress=False)


def test_the_switch():
    flow = Flow(Chain(*couplings(1), Chain(*couplings(1))), Normal(Real((D,))))
    keys = list(flow.state_dict())
    with saving(flow, "invert"):
        assert [m.memory for m in flow.modules() if isinstance(m, Chain)] == ["invert"] * 2
        assert copy.deepcopy(flow).chain.memory == "invert"
        with pytest.raises(ZeroDivisionError), saving(flow, "checkpoint"):
            _ = 1 / 0
        assert flow.chain.memory == "invert"
        assert list(flow.state_dict()) == keys
    assert flow.chain.memory == "store"
    with pytest.raises(SpecError, match="expected memory to be one of store, invert, checkpoint, got 'inverted'"):
        set_memory(flow, "inverted")
    with pytest.raises(SpecError, match="expected a model with a Chain for memory='invert', got one without"):
        set_memory(Normal(Real((D,))), "invert")
    set_memory(Normal(Real((D,))), "store")
    with pytest.raises(SpecError, match="expected a Flow with a Chain, or a Chain, got Normal"):
        reconstruction_drift(Normal(Real((D,))), torch.zeros(1, D))
