"""The spline's kernels: the numbers of the eager code and of the formula, and a silent way back to the eager code.

Tests marked `gpu` run the kernels. Without a GPU, `test_kernels_in_the_interpreter` runs them once more, in a process of
its own in which Triton interprets them on the CPU. Those need torch and pytest only, and Triton.
"""

import functools
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import pushforward as pf
from pushforward.functional import splines
from pushforward.functional.hand_gradients import derived
from pushforward.functional.splines import dispatch as doors
from pushforward.functional.splines import gpu
from pushforward.functional.splines.eager import EagerSpline
from pushforward.functional.splines.gpu import MAX_BINS, GpuSpline
from pushforward.functional.splines.terms import Shape

TRITON = importlib.util.find_spec("triton") is not None
INTERPRETED = TRITON and os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
BOUND = 3.0

# Triton reads its switch once, when it is imported.
on_kernels = [
    pytest.mark.gpu,
    pytest.mark.skipif(not INTERPRETED and not (TRITON and DEVICE == "cuda"), reason="no GPU with Triton"),
]


def on_the_kernels(test):
    return functools.reduce(lambda function, mark: mark(function), on_kernels, test)


def formula(shape, v, p):
    return EagerSpline(shape).plain(v, p)


def rules(shape):
    return GpuSpline(shape), EagerSpline(shape)


def count(shape):
    return 3 * shape.bins - 1 if shape.tails else 3 * shape.bins + 1


def numbers(shape, *batch, device=DEVICE, dtype=torch.float64):
    """v and p in the layout that networks give: one parameter of all features after the other."""
    random = torch.Generator().manual_seed(0)
    v = (2 * torch.rand(batch, generator=random, dtype=dtype) - 1) * shape.high * (1.3 if shape.tails else 1)
    p = torch.randn(*batch[:-1], count(shape), *batch[-1:], generator=random, dtype=dtype) * 2
    return v.to(device), (p.mT if batch else p).to(device)


def cotangents(v):
    random = torch.Generator().manual_seed(1)
    g = torch.randn(v.shape, generator=random, dtype=v.dtype)
    # What a sum over the features gives.
    g_log = torch.randn(v.shape[:-1], generator=random, dtype=v.dtype)
    return g.to(v.device), (g_log[..., None] if v.dim() else g_log).to(v.device).expand(v.shape)


def results(rule, v, p, g, g_log):
    pair, saved = rule.evaluate(v, p)
    return *pair, *rule.gradient((v, p), saved, g, g_log)


def formulas_results(shape, v, p, g, g_log):
    v, p = v.detach().requires_grad_(), p.detach().requires_grad_()
    pair = formula(shape, v, p)
    return *(t.detach() for t in pair), *torch.autograd.grad(pair, (v, p), (g, g_log))


def agree(found, expected, tolerance=1e-10):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        largest = b.abs().max().item() if b.numel() else 0.0
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * largest)


SHAPES = [
    Shape(bins, -BOUND, BOUND, inverse, tails)
    for bins in (2, 3, 8, 16, MAX_BINS)
    for inverse in (False, True)
    for tails in (False, True)
]
every_shape = pytest.mark.parametrize(
    "shape",
    SHAPES,
    ids=lambda s: f"{s.bins}-{'inverse' if s.inverse else 'forward'}-{'tails' if s.tails else 'box'}",
)
four_shapes = pytest.mark.parametrize(
    "shape", [s for s in SHAPES if s.bins == 8], ids=["forward-box", "forward-tails", "inverse-box", "inverse-tails"]
)


@on_the_kernels
@every_shape
def test_same_numbers_as_the_eager_code_and_the_formula(shape):
    fast, eager = rules(shape)
    v, p = numbers(shape, 60, 5)
    assert fast.evaluate(v, p)[1] == ()
    # Extreme parameters are bins of the smallest size, the smallest slopes and large ones: one rounding of v may change the
    # numbers by 1e-9.
    for parameters, tolerance in ((p, 1e-10), (50 * p.sign(), 1e-8)):
        given = v, parameters, *cotangents(v)
        found = results(fast, *given)
        agree(found, results(eager, *given), tolerance)
        agree(found, formulas_results(shape, *given), tolerance)


@on_the_kernels
@four_shapes
@pytest.mark.parametrize(
    "batch", [(), (0,), (1,), (7,), (0, 4), (5, 0), (1, 1), (1000, 1), (1, 1000), (2, 3, 5)], ids=str
)
def test_every_size(shape, batch):
    fast, eager = rules(shape)
    v, p = numbers(shape, *batch)
    agree(results(fast, v, p, *cotangents(v)), results(eager, v, p, *cotangents(v)))


@on_the_kernels
@four_shapes
def test_every_layout(shape):
    fast, eager = rules(shape)
    v, p = numbers(shape, 6, 4)
    n = p.shape[-1]
    layouts = {
        "rows of features": (v, p.contiguous()),
        "parameters first": (v, p.movedim(-1, 0).contiguous().movedim(0, -1)),
        "features first": (v.mT.contiguous().mT, p.transpose(0, 1).contiguous().transpose(0, 1)),
        "every second": (v.repeat_interleave(2, -1)[:, ::2], p.repeat_interleave(2, -1)[..., ::2]),
        "a part": (torch.cat([v, v], -1)[:, 4:], torch.cat([p, p], 1)[:, 4:]),
        "shared": (v, p[0].expand(6, 4, n)),
        "one for all": (v[0, 0].expand(6, 4), p[0, 0].expand(6, 4, n)),
        "more dimensions": (v.view(2, 3, 4).transpose(0, 1), p.unflatten(0, (2, 3)).transpose(0, 1)),
    }
    for name, (a, b) in layouts.items():
        for given in (cotangents(a), tuple(t.mT.contiguous().mT for t in cotangents(a))):
            found = results(fast, a, b, *given)
            agree(found, results(eager, a, b, *given))
            assert name in ("shared", "one for all", "every second", "a part", "more dimensions") or (
                found[3].stride() == b.stride()
            ), name


@on_the_kernels
@four_shapes
def test_at_and_beyond_the_bounds_and_at_the_knots(shape):
    fast, eager = rules(shape)
    ends = torch.tensor([-BOUND, BOUND], dtype=torch.float64)
    # With p = 0 the knots are evenly spaced and the spline is the identity.
    knots = torch.linspace(-BOUND, BOUND, shape.bins + 1, dtype=torch.float64)
    near = torch.cat([ends, knots, torch.nextafter(knots, ends[:1]), torch.nextafter(knots, ends[1:])])
    if shape.tails:
        near = torch.cat([near, 0.9999999 * ends, 1.0000001 * ends, 2 * ends, 1e30 * ends])
    v = near.to(DEVICE)[:, None]
    p = torch.zeros(*v.shape, count(shape), dtype=torch.float64, device=DEVICE)
    image, log_slope = fast.evaluate(v, p)[0]
    torch.testing.assert_close(image, v, rtol=1e-14, atol=1e-14)
    assert log_slope.abs().max() < 1e-13
    # Only the first derivatives are continuous at a knot: no cotangent of the log-slope.
    given = cotangents(v)[0], torch.zeros_like(v)
    for a, b in zip(results(fast, v, p, *given), results(eager, v, p, *given), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    p = numbers(shape, len(v), 1)[1]
    agree(results(fast, v, p, *given), results(eager, v, p, *given))


@on_the_kernels
@four_shapes
def test_what_is_not_a_number_stays_so(shape):
    fast, _ = rules(shape)
    v, p = numbers(shape, 3, 2)
    v[0, 0] = float("nan")
    image, _ = fast.evaluate(v, p)[0]
    assert image.isnan().tolist() == [[True, False], [False, False], [False, False]]
    v, p = numbers(shape, 3, 2)
    v, p = v / 2, p.clone()
    p[0, 0, 1] = float("nan")
    image, log_slope = fast.evaluate(v, p)[0]
    assert image.isnan().tolist() == log_slope.isnan().tolist() == [[True, False], [False, False], [False, False]]


@on_the_kernels
@four_shapes
def test_single_precision_is_as_good_as_the_eager_code(shape):
    fast, eager = rules(shape)
    v, p = numbers(shape, 400, 5, dtype=torch.float32)
    given = cotangents(v)
    exact = results(eager, *(t.double() for t in (v, p, *given)))
    for a, b, c in zip(results(fast, v, p, *given), results(eager, v, p, *given), exact, strict=True):
        assert a.dtype == torch.float32
        # Few elements near a knot make the mean, by chance.
        error, usual = ((t.double() - c).abs().quantile(0.9).item() for t in (a, b))
        assert error <= 2 * usual


@on_the_kernels
@four_shapes
def test_extremes_in_single_precision(shape):
    """Nothing overflows, and no discriminant comes out below zero, in a narrow and high bin with small slopes."""
    fast, _ = rules(shape)
    v = torch.linspace(-BOUND, BOUND, 500, device=DEVICE)
    p = torch.full((500, count(shape)), -100.0, device=DEVICE)
    p[:, 1 : shape.bins] = 100.0
    p[:, shape.bins] = 100.0
    for found in results(fast, v, p, *cotangents(v)):
        assert found.isfinite().all()


@on_the_kernels
@four_shapes
def test_gradients_by_finite_differences(shape):
    fast, _ = rules(shape)
    v, p = (t.detach().requires_grad_() for t in numbers(shape, 2, 2))
    assert torch.autograd.gradcheck(lambda v, p: derived(fast, v, p), (v, p), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda v, p: derived(fast, v, p), (v, p), fast_mode=True)


@on_the_kernels
def test_the_gradient_may_fall_back_alone():
    fast, eager = rules(SHAPES[0])
    v, p = numbers(SHAPES[0], 6, 4)
    given = cotangents(v)
    pair, saved = fast.evaluate(v, p)
    assert saved == ()
    with FlopCounterMode(display=False):
        found = fast.gradient((v, p), saved, *given)
    agree((*pair, *found), results(eager, v, p, *given))


@on_the_kernels
@pytest.mark.parametrize("structure", ["coupling", "autoregressive"])
def test_training_with_and_without_the_kernels(structure, monkeypatch):
    # The interpreter's tensors are on the CPU, where the public functions would not think of the kernels.
    monkeypatch.setattr(doors, "EagerSpline", GpuSpline)
    working = gpu._working
    used = []

    def train():
        torch.manual_seed(0)
        flow = (
            pf.build("nsf", features=3, layers=2, hidden=8, blocks=1, bins=4, structure=structure).double().to(DEVICE)
        )
        x = torch.randn(32, 3, dtype=torch.float64, device=DEVICE)
        optimiser = torch.optim.Adam(flow.parameters(), 1e-2)
        losses = []
        for _ in range(5):
            loss = -flow.log_prob(x).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses, flow.sample(4).detach()

    monkeypatch.setattr(gpu, "_working", lambda device: used.append(device) or working(device))
    assert working(torch.zeros(0, device=DEVICE).device) is not None
    losses, draws = train()
    assert used
    monkeypatch.setattr(gpu, "_working", lambda device: None)
    expected, others = train()
    assert losses == pytest.approx(expected, rel=1e-9)
    assert losses[-1] < losses[0]
    torch.testing.assert_close(draws, others, rtol=1e-7, atol=1e-7)


@pytest.mark.gpu
@pytest.mark.skipif(not TRITON or DEVICE == "cpu", reason="no GPU with Triton")
def test_public_functions_use_the_kernels_on_a_gpu(monkeypatch):
    runs = []
    for name in ("_forward", "_backward"):
        function = getattr(gpu, name)
        monkeypatch.setattr(gpu, name, lambda *a, function=function, name=name: runs.append(name) or function(*a))
    v, p = (t.requires_grad_() for t in numbers(SHAPES[1], 6, 4))
    image, log_slope = splines.rational_quadratic_tails(v, p, BOUND)
    (image.sum() + log_slope.sum()).backward()
    assert runs[-2:] == ["_forward", "_backward"]


@pytest.mark.skipif(not TRITON or INTERPRETED, reason="no Triton")
def test_kernels_in_the_interpreter():
    here = Path(__file__).resolve()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", str(here)],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        cwd=here.parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def same_as_eager(shape):
    """Bit for bit, and with what the eager gradient needs."""
    fast, eager = rules(shape)
    v, p = numbers(shape, 6, 4, device="cpu")
    assert len(fast.evaluate(v, p)[1]) == len(eager.evaluate(v, p)[1])
    given = cotangents(v)
    for a, b in zip(results(fast, v, p, *given), results(eager, v, p, *given), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def forgetful():
    """Whether the kernels work is found out anew, and forgotten."""
    gpu._working.cache_clear()
    yield
    gpu._working.cache_clear()


@four_shapes
@pytest.mark.usefixtures("forgetful")
def test_without_triton_the_eager_code_runs(shape, monkeypatch):
    name = f"{splines.__name__}.kernels"
    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr(splines, "kernels", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    same_as_eager(shape)
    assert name not in sys.modules


@pytest.mark.usefixtures("forgetful")
def test_where_a_kernel_fails_the_eager_code_runs(monkeypatch):
    tried = []

    class Failing:
        def __getitem__(self, grid):
            tried.append(grid)
            raise RuntimeError("no compiler")

    broken = types.ModuleType("kernels")
    broken.forward = broken.backward = Failing()
    monkeypatch.setitem(sys.modules, f"{splines.__name__}.kernels", broken)
    monkeypatch.setattr(splines, "kernels", broken, raising=False)
    same_as_eager(SHAPES[1])
    same_as_eager(SHAPES[1])
    assert len(tried) == 1


def test_many_bins_and_watched_operations_are_for_the_eager_code(monkeypatch):
    monkeypatch.setattr(gpu, "_working", lambda device: pytest.fail("asked for the kernels"))
    same_as_eager(Shape(MAX_BINS + 1, -BOUND, BOUND, inverse=False, tails=True))
    with FlopCounterMode(display=False):
        same_as_eager(SHAPES[1])
    monkeypatch.setattr(gpu, "MAX_ELEMENTS", 23)
    same_as_eager(SHAPES[1])


def test_triton_is_not_imported_where_it_is_not_used():
    code = (
        "import sys, torch\n"
        "before = 'triton' in sys.modules\n"
        "import pushforward as pf\n"
        "from pushforward.functional.splines import gpu\n"
        "flow = pf.build('nsf', features=2)\n"
        "flow.log_prob(torch.zeros(3, 2)).sum().backward()\n"
        "assert ('triton' in sys.modules) == before\n"
        "assert 'pushforward.functional.splines.kernels' not in sys.modules\n"
        "assert gpu._working.cache_info().currsize == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
