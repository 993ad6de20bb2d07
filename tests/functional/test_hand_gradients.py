"""Hand-derived gradients against their plain oracles: shapes, dtypes, extremes, strides, and who gets which form."""

import warnings

import pytest
import torch

from pushforward.core import Chain, Flow, Real
from pushforward.distributions import Normal
from pushforward.functional import hand_gradients as module
from pushforward.functional.affine import affine, gated
from pushforward.functional.hand_gradients import Rule, derived
from pushforward.functional.logistic import logistic_mixture
from pushforward.functional.splines import rational_quadratic_box, rational_quadratic_tails
from pushforward.networks import MLP, MaskedMLP
from pushforward.transforms import Affine, Autoregressive, GatedAffine, LogisticMixture, RationalQuadratic

DOUBLE = torch.float64
MAPS = {
    "affine": (affine, 2, (4.0,)),
    "gated": (gated, 2, (4.0, 2.0)),
    "spline": (rational_quadratic_tails, 11, (3.0,)),
    "spline-2-bins": (rational_quadratic_tails, 5, (3.0,)),
    "spline-40-bins": (rational_quadratic_tails, 119, (3.0,)),
    "spline-box": (rational_quadratic_box, 13, (-1.0, 2.0)),
    "mixture": (logistic_mixture, 9, (6.0, 1.5)),
}


@pytest.fixture
def form(monkeypatch):
    """Chooses which form `derived` takes: call it with 'plain', 'eager' or 'unrolled'."""

    def choose(name):
        def chosen(rule: Rule, *inputs, compiled=None):
            if name == "plain":
                return rule.plain(*inputs)
            if name == "unrolled":
                return module._Derived.apply(compiled or rule, *inputs)
            return derived(rule, *inputs, compiled=compiled)

        for place in ("affine", "logistic", "splines.dispatch"):
            monkeypatch.setattr(f"pushforward.functional.{place}.derived", chosen)

    return choose


def inputs(name, shape, dtype, *, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n = MAPS[name][1]
    v = 2 * torch.randn(shape, generator=generator, dtype=dtype)
    if name == "spline-box":
        v = 3 * v.sigmoid() - 1
    return v, scale * torch.randn((*shape, n), generator=generator, dtype=dtype)


def answers(name, v, p, inverse):
    """Both outputs and both gradients."""
    function, _, options = MAPS[name]
    v, p = v.detach().requires_grad_(), p.detach().requires_grad_()
    outputs = function(v, p, *options, inverse=inverse)
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(v.shape, generator=generator, dtype=DOUBLE).to(v.dtype) for _ in range(2)]
    return *(t.detach() for t in outputs), *torch.autograd.grad(outputs, (v, p), cotangents)


def error(got, truth):
    return max(
        float(((a.double() - b.double()).abs() / (1 + b.double().abs())).amax())
        for a, b in zip(got, truth, strict=True)
        if a.numel()
    )


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (50,), (7, 3), (0, 4), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("name", MAPS)
def test_hand_derived_gradients_are_those_of_autograd(form, name, shape, inverse):
    v, p = inputs(name, shape, DOUBLE)
    form("plain")
    truth = answers(name, v, p, inverse)
    for fast in ("eager", "unrolled"):
        form(fast)
        got = answers(name, v, p, inverse)
        assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in zip(got, truth, strict=True))
        assert not v.numel() or error(got, truth) < 1e-10, fast


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("name", MAPS)
def test_extreme_parameters(form, name, inverse):
    v, p = inputs(name, (300,), DOUBLE, scale=6.0)
    v[:8] = (
        torch.tensor([-0.9999999, 1.9999999, 0.0, -0.0, 1e-300, 0.5, 1.0, -0.5])
        if name == "spline-box"
        else torch.tensor([-3.0, 3.0, 0.0, 1e4, -1e4, 1e-300, 3.0000001, -2.9999999])
    )
    form("plain")
    truth = answers(name, v, p, inverse)
    for fast in ("eager", "unrolled"):
        form(fast)
        got = answers(name, v, p, inverse)
        assert all(bool(t.isfinite().all()) for t in got)
        assert error(got[:2], truth[:2]) < 1e-7, fast
        # Where bins are narrow the two forms round differently: gradients agree relative to the largest.
        for a, b in zip(got[2:], truth[2:], strict=True):
            assert float((a - b).abs().amax() / (1 + b.abs().amax())) < 1e-6, fast


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("name", MAPS)
def test_single_precision_is_as_good_as_the_plain_formula(form, name, inverse):
    v, p = inputs(name, (4000,), torch.float32)
    form("plain")
    truth, plain = answers(name, v.double(), p.double(), inverse), answers(name, v, p, inverse)
    for fast in ("eager", "unrolled"):
        form(fast)
        got = answers(name, v, p, inverse)
        for a, b, c in zip(got, plain, truth, strict=True):
            ours, theirs = _tail(a, c), _tail(b, c)
            assert ours <= 3 * theirs + 2e-6, (fast, ours, theirs)


def _tail(got, truth):
    """The error that one entry in a thousand exceeds."""
    errors = (got.double() - truth).abs().flatten().sort().values
    return float(errors[int(0.999 * (len(errors) - 1))])


@pytest.mark.parametrize("name", MAPS)
def test_any_strides(form, name):
    v, p = inputs(name, (6, 5), DOUBLE)
    form("plain")
    truth = answers(name, v, p, False)
    layouts = {
        "parameter-major": (v, p.transpose(0, 1).contiguous().transpose(0, 1)),
        "transposed": (v.mT.contiguous().mT, p.mT.contiguous().mT),
        "sliced": (torch.stack([v, v], -1)[..., 0], torch.cat([p, p], -1)[..., : p.shape[-1]]),
        "flipped": (v.flip(0).flip(0), p.flip(-1).contiguous().flip(-1)),
    }
    form("eager")
    for layout, (a, b) in layouts.items():
        assert error(answers(name, a, b, False), truth) < 1e-10, layout
    one = p[:1, :1]
    form("plain")
    truth = answers(name, v, one.expand_as(p), False)
    form("eager")
    got = answers(name, v, one, False)
    assert error(got[:3], truth[:3]) < 1e-10
    torch.testing.assert_close(got[3], truth[3].sum((0, 1), keepdim=True))


@pytest.mark.parametrize("inverse", [False, True], ids=["forward", "inverse"])
@pytest.mark.parametrize("name", MAPS)
def test_second_derivatives(name, inverse):
    v, p = (t.requires_grad_() for t in inputs(name, (3,), DOUBLE, scale=0.5))
    if name == "spline-40-bins":
        p = p.detach()
    function, _, options = MAPS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert torch.autograd.gradcheck(lambda v, p: function(v, p, *options, inverse=inverse), (v, p))
    if not (name == "mixture" and inverse):
        # The plain inverse of a mixture takes one Newton step at the root: its second derivatives are not exact.
        assert torch.autograd.gradgradcheck(lambda v, p: function(v, p, *options, inverse=inverse), (v, p))


def test_functional_transforms_and_forward_mode_see_the_plain_formula():
    v, p = inputs("spline", (5,), DOUBLE)
    value = lambda v, p: sum(t.sum() for t in rational_quadratic_tails(v, p, 3.0))  # noqa: E731
    by_vmap = torch.vmap(torch.func.grad(value))(v, p)
    by_forward = torch.stack([torch.func.jvp(lambda x: value(x, p), (v,), (e,))[1] for e in torch.eye(5, dtype=DOUBLE)])
    leaf = v.clone().requires_grad_()
    by_reverse = torch.autograd.grad(value(leaf, p), leaf)[0]
    torch.testing.assert_close(by_vmap, by_reverse)
    torch.testing.assert_close(by_forward, by_reverse)


@pytest.mark.parametrize("bins", [4, 30])
def test_compilers_see_the_unrolled_spline_when_it_is_short(bins):
    graphs = []

    def backend(graph, _):
        graphs.append(graph.print_readable(print_output=False))
        return graph.forward

    results = []
    v, p = torch.randn(6, 2, dtype=DOUBLE), torch.randn(6, 2, 3 * bins - 1, dtype=DOUBLE)
    spline = lambda v, p: rational_quadratic_tails(v, p, 3.0)  # noqa: E731
    for function in (spline, torch.compile(spline, fullgraph=True, backend=backend)):
        leaf = v.clone().requires_grad_()
        image, slope = function(leaf, p)
        (image.sum() + slope.sum()).backward()
        results.append((image, slope, leaf.grad))
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-4)
    assert ("gather" in "".join(graphs)) == (bins == 30)


def kept_bytes(run):
    """What autograd keeps of a run."""
    kept = {}

    def keep(t):
        kept[t.untyped_storage().data_ptr()] = t
        return t

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        run()
    return sum(t.untyped_storage().nbytes() for t in kept.values())


def test_saved_memory_is_a_fraction_of_autograds(form):
    v, p = torch.randn(1000, requires_grad=True), torch.randn(1000, 23, requires_grad=True)
    sizes = {}
    for name in ("plain", "eager"):
        form(name)
        sizes[name] = kept_bytes(lambda: rational_quadratic_tails(v, p, 3.0))
    assert sizes["eager"] < 0.75 * sizes["plain"]


# The autoregressive inverse: gradients by the implicit function rule.

SCALARS = [Affine(), GatedAffine(), RationalQuadratic(4), LogisticMixture(3)]


def layer(scalar, *, features=11, residual=True, context=2, other=False):
    torch.manual_seed(0)
    if other:
        net = _Triangular(features, scalar.n)
    else:
        net = MaskedMLP(features, scalar.n, hidden=(14,) * 3, residual=residual, context=context, activation="silu")
    made = Autoregressive(scalar, Real((features,)), net, context=context).to(DOUBLE)
    for p in made.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return made


class _Triangular(torch.nn.Module):
    """A network with the autoregressive property that is no MaskedMLP."""

    def __init__(self, features, n):
        super().__init__()
        self.features, self.n = features, n
        self.weight = torch.nn.Parameter(torch.zeros(n, features, features))
        self.context = torch.nn.Parameter(torch.zeros(n, 2))

    def forward(self, x, context):
        return torch.tanh(torch.einsum("nij,bj->bin", self.weight.tril(-1), x) + (context @ self.context.mT)[:, None])


@pytest.mark.parametrize("other", [False, True], ids=["made", "other-network"])
@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_implicit_gradients_are_those_of_the_recorded_steps(scalar, other):
    made = layer(scalar, other=other)
    z, c = torch.randn(5, 11, dtype=DOUBLE, requires_grad=True), torch.randn(5, 2, dtype=DOUBLE, requires_grad=True)
    weights = torch.randn(5, 11, dtype=DOUBLE), torch.randn(5, dtype=DOUBLE)
    wanted = [z, c, *made.parameters()]
    found = [torch.autograd.grad(solve(z, c), wanted, weights) for solve in (made.inverse, made.solve)]
    for implicit, recorded in zip(*found, strict=True):
        torch.testing.assert_close(implicit, recorded, atol=1e-8, rtol=1e-7)


def test_implicit_gradients_when_only_parameters_or_only_the_data_need_them():
    made = layer(Affine(), residual=False)
    z, c = torch.randn(2, 11, dtype=DOUBLE), torch.randn(2, 2, dtype=DOUBLE)
    x, dlogp = made.inverse(z, c)
    (x.sum() + dlogp.sum()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    made.requires_grad_(requires_grad=False)
    leaf = z.clone().requires_grad_()
    x, dlogp = made.inverse(leaf, c)
    assert torch.autograd.gradcheck(lambda z: made.inverse(z, c), leaf)
    assert torch.autograd.gradgradcheck(lambda z: made.inverse(z, c), leaf)


def test_the_implicit_rule_keeps_no_steps():
    made = layer(Affine(), features=40, context=0, residual=False)
    z = torch.randn(200, 40, dtype=DOUBLE, requires_grad=True)
    assert kept_bytes(lambda: made.inverse(z)) < 0.2 * kept_bytes(lambda: made.solve(z, None))


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.out.weight.data.mul_(1.5),
        lambda net: net.out.bias.data.add_(1.0),
        lambda net: net.hidden[0].weight.data.copy_(net.hidden[0].weight.data.flip(0)),
        lambda net: setattr(net.hidden[1], "weight", torch.nn.Parameter(net.hidden[1].weight * 2)),
        lambda net: net.load_state_dict({k: v * 1.1 for k, v in net.state_dict().items()}),
        lambda net: torch.optim.SGD(net.parameters(), 0.1).step(
            lambda: net(torch.randn(3, 11, dtype=DOUBLE), torch.randn(3, 2, dtype=DOUBLE)).square().sum().backward()
        ),
        lambda net: net.float().double(),
    ],
    ids=["data", "bias", "rows-swapped", "replaced", "loaded", "optimiser", "dtype"],
)
def test_sorted_weights_are_refreshed_when_the_weights_change(change):
    made = layer(Affine())
    x, c = torch.randn(4, 11, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
    with torch.no_grad():
        made.inverse(made(x, c)[0], c)
        kept = made.net._kept
        made.inverse(made(x, c)[0], c)
        assert made.net._kept is kept
    change(made.net)
    with torch.no_grad():
        torch.testing.assert_close(made.inverse(made(x, c)[0], c)[0], x)


def test_training_through_the_inverse_learns_what_recorded_steps_learn():
    """Reverse KL of a flow whose sampling direction is the autoregressive inverse: the same path of the weights."""
    losses = []
    for implicit in (True, False):
        torch.manual_seed(0)
        net = MaskedMLP(3, 2, hidden=(16, 16))
        step = Autoregressive(Affine(), Real((3,)), net)
        if not implicit:
            step.inverse = step.solve
        flow = Flow(Chain(step), Normal(Real((3,)))).double()
        optimiser = torch.optim.Adam(flow.parameters(), 1e-2)
        for _ in range(20):
            x, logp = flow.rsample_and_log_prob((64,))
            loss = (logp + 0.5 * (x - torch.tensor([1.0, 2.0, 3.0])).square().sum(-1)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)


def test_inference_mode_and_pickles_have_no_sorted_weights():
    import copy
    import pickle

    made = layer(Affine())
    z, c = torch.randn(4, 11, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
    with torch.inference_mode():
        made.inverse(z, c)
    with torch.no_grad():
        expected = made.inverse(z, c)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.net._kept is None
        with torch.no_grad():
            torch.testing.assert_close(other.inverse(z, c), expected)
    leaf = z.clone().requires_grad_()
    made.inverse(leaf, c)[0].sum().backward()
    assert leaf.grad.isfinite().all()


def test_relu_in_place_leaves_the_networks_as_they_are():
    torch.manual_seed(0)
    for net in (MLP(3, 4, hidden=(8, 8)), MLP(3, 4, hidden=(8, 8, 8), residual=True)):
        net = net.double()
        torch.nn.init.normal_(net.out.weight)
        x = torch.randn(5, 3, dtype=DOUBLE, requires_grad=True)
        assert torch.autograd.gradcheck(net, x)
        for p in net.parameters():
            assert torch.autograd.grad(net(x).square().sum(), p)[0].isfinite().all()
