"""Checks of flows of any library: this library's flows pass them, and flows with faults do not."""

import dataclasses
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import pushforward as pf

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.conformance import CHECKS, Result, run  # noqa: E402
from benchmarks.conformance.__main__ import main, measure  # noqa: E402
from benchmarks.conformance.report import Table, markdown  # noqa: E402
from benchmarks.external.zuko_interface import LazyFlow  # noqa: E402
from benchmarks.peers import load  # noqa: E402
from benchmarks.peers.pushforward import Own  # noqa: E402

sys.path.remove(str(ROOT))

CASES = {case.flow: case for case in load("pushforward").cases}
FAST = [name for name, check in CHECKS.items() if not check.slow]
SLOW = [name for name, check in CHECKS.items() if check.slow]
FLAT = "a spline as published may have nearly flat pieces, which float32 cannot invert"
STEEP = "after the perturbation some slopes are small, and float32 cannot invert the map there"
KNOWN = {
    ("NSF coupling", "layer 32"): FLAT,
    ("NSF autoregressive", "layer 32"): FLAT,
    ("NSF coupling", "round trip 32"): FLAT,
    ("NAF", "layer 32"): STEEP,
    ("UMNN", "layer 32"): STEEP,
    ("UMNN", "round trip 32"): STEEP,
    ("UMNN", "slow side"): "its inverse searches a root of an integral, 3.6 times as dear as the map",
    ("SOS", "layer 32"): STEEP,
    ("Bernstein", "layer 32"): STEEP,
}
LATER = ("NAF", "UMNN", "SOS", "Bernstein", "Bent", "BNAF", "Gaussianization", "Residual", "Monotone operators")
"""Flows whose checks are left to the dear tests, because the laws check them in `make test`."""


@pytest.mark.parametrize(
    "flow", [pytest.param(flow, marks=[pytest.mark.dear] if flow in LATER else []) for flow in CASES]
)
@pytest.mark.parametrize("name", FAST)
def test_our_flows_pass(flow, name):
    result = run(CASES[flow], name)
    expected = "fail" if (flow, name) in KNOWN else "pass"
    assert result.status == expected, str(result)


@pytest.mark.parametrize("name", [name for name in SLOW if name != "import"])
def test_our_flows_pass_slow_checks(name):
    result = run(CASES["NICE"], name)
    assert result.status == "pass", str(result)


@pytest.mark.dear
@pytest.mark.slow
@pytest.mark.parametrize("flow", CASES)
@pytest.mark.parametrize("name", SLOW)
def test_all_our_flows_pass_slow_checks(flow, name):
    result = run(CASES[flow], name)
    assert result.status == "pass", str(result)


class Doubled(Own):
    """Every log-determinant twice, consistently in both directions."""

    def to_latent(self, x, c=None):
        z, log_det = super().to_latent(x, c)
        return z, 2 * log_det

    def to_data(self, z, c=None):
        x, log_det = super().to_data(z, c)
        return x, 2 * log_det

    def log_prob(self, x, c=None):
        z, log_det = self.to_latent(x, c)
        return self.module.base.log_prob(z) + log_det


class OneSided(Own):
    """The inverse reports the log-determinant of the wrong direction."""

    def to_data(self, z, c=None):
        x, log_det = super().to_data(z, c)
        return x, -log_det


class Bounded(Own):
    """An inverse that searches inside +-3 only."""

    def to_data(self, z, c=None):
        x, log_det = super().to_data(z, c)
        return x.clamp(-3, 3), log_det


class ZeroTails(Own):
    """Everything outside +-3 becomes zero."""

    def to_latent(self, x, c=None):
        z, log_det = super().to_latent(x, c)
        outside = x.abs() > 3
        return torch.where(outside, 0.0, z), torch.where(outside.any(1), 0.0, log_det)

    def log_prob(self, x, c=None):
        z, log_det = self.to_latent(x, c)
        return self.module.base.log_prob(z) + log_det


class NotOnto(Own):
    """Latent codes never leave +-1.5."""

    def to_latent(self, x, c=None):
        z, log_det = super().to_latent(x, c)
        return 1.5 * (z / 1.5).tanh(), log_det


class Shifted(Own):
    """Samples that do not follow the density."""

    def sample(self, n, c=None):
        return super().sample(n, c) + 0.3


class Assuming(Own):
    """A missing context is taken for zeros."""

    def sample(self, n, c=None):
        if c is None and self.context:
            c = torch.zeros(self.context, dtype=self.dtype)
        return super().sample(n, c)


class Opaque(Own):
    """A wrong context ends in a matrix product."""

    def log_prob(self, x, c=None):
        torch.zeros(8, 3) @ torch.zeros(2 if self.context else 3, 64)
        return super().log_prob(x, c)


class Deaf(Own):
    """The second coordinate of the context is dropped."""

    def to_latent(self, x, c=None):
        return super().to_latent(x, c if c is None else c * torch.tensor([1.0, 0.0], dtype=c.dtype))


class Swallowing(Own):
    """NaN becomes zero."""

    def log_prob(self, x, c=None):
        return super().log_prob(x.nan_to_num(0.0), c)


class Single(Own):
    """A float32 accumulator."""

    def log_prob(self, x, c=None):
        return super().log_prob(x, c).float()


class Leaking(Own):
    """Rows see the batch's mean."""

    def log_prob(self, x, c=None):
        return super().log_prob(x - 0.1 * x.mean(0), c)


class FlatOnly(Own):
    """One batch dimension, and not an empty one."""

    def log_prob(self, x, c=None):
        rows, _ = x.shape
        return super().log_prob(x, c) + 0 * x.new_ones(rows).max()


class Branching(Own):
    """A branch on the data."""

    def log_prob(self, x, c=None):
        logp = super().log_prob(x, c)
        return logp if bool((x > 0).any()) else logp + 0


class Slow(Own):
    """D passes for a draw."""

    def sample(self, n, c=None):
        for _ in range(self.features - 1):
            x = super().sample(n, c)
        return x


FAULTS = [
    (Doubled, "MAF", "log-det"),
    (Doubled, "MAF", "mass"),
    (OneSided, "MAF", "inverse det"),
    (Bounded, "MAF", "round trip 64"),
    (Bounded, "MAF", "layer 32"),
    (Bounded, "MAF", "onto"),
    (ZeroTails, "MAF", "round trip 64"),
    (ZeroTails, "MAF", "layer 32"),
    (NotOnto, "MAF", "onto, start"),
    (Shifted, "MAF", "samples"),
    (Assuming, "MAF", "bad context"),
    (Opaque, "MAF", "bad context"),
    (Deaf, "MAF", "context"),
    (Swallowing, "MAF", "NaN"),
    (Single, "MAF", "float64"),
    (Leaking, "MAF", "rows"),
    (FlatOnly, "MAF", "batch 4x5"),
    (FlatOnly, "MAF", "empty"),
    pytest.param(Branching, "MAF", "compile", marks=pytest.mark.dear),
    (Branching, "MAF", "export"),
    pytest.param(Slow, "MAF", "slow side", marks=pytest.mark.dear),
]


@pytest.mark.parametrize(("adapter", "flow", "name"), FAULTS, ids=lambda v: getattr(v, "__name__", v))
def test_planted_faults_fail(adapter, flow, name):
    result = run(dataclasses.replace(CASES[flow], adapter=adapter), name)
    assert result.status in {"fail", "error"}, str(result)
    assert result.symbol == "✗"
    assert "\n" not in str(result)


def test_a_consistent_fault_passes_what_cannot_see_it():
    case = dataclasses.replace(CASES["MAF"], adapter=Doubled)
    assert run(case, "inverse det").status == "pass"
    assert run(case, "round trip 64").status == "pass"


def _with(change, features, context, layers):
    module = CASES["MAF"].make(features, context, layers)
    change(module)
    return module


def _add_lambda(module):
    module.hook = lambda: None


def _add_dead(module):
    module.dead = nn.Parameter(torch.zeros(3))


def _add_hidden_state(module):
    # not a buffer, so that the state_dict lacks it
    module.base.loc = torch.rand(())
    module.base._log_prob = lambda x, c: -(x - module.base.loc).square().sum(1)


@pytest.mark.parametrize(
    ("change", "name"), [(_add_lambda, "copies"), (_add_dead, "gradients"), (_add_hidden_state, "state")]
)
def test_faults_of_the_module_fail(change, name):
    result = run(dataclasses.replace(CASES["MAF"], make=partial(_with, change)), name)
    assert result.status in {"fail", "error"}, str(result)


@pytest.mark.slow
def test_an_import_that_changes_torch_fails(tmp_path, monkeypatch):
    code = "import torch\ntorch.distributions.Distribution.set_default_validate_args(False)\ntorch.rand(1)\n"
    (tmp_path / "rude.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = run(dataclasses.replace(CASES["MAF"], library="rude"), "import")
    assert result.status == "fail"
    assert "Normal(0, -1) is refused" in result.reason
    assert "random state of torch" in result.reason


def test_an_exception_is_an_error_of_one_line():
    def broken(features, context, layers):
        raise RuntimeError("first line\nsecond line")

    result = run(dataclasses.replace(CASES["MAF"], make=broken), "log-det")
    assert (result.status, result.reason) == ("error", "RuntimeError: first line")


def test_a_check_that_takes_too_long_is_stopped():
    def endless(features, context, layers):
        while True:
            pass

    result = run(dataclasses.replace(CASES["MAF"], make=endless), "log-det", limit=0.05)
    assert result.status == "error"
    assert "took longer than 0.05 s" in result.reason


def test_excuses_and_missing_log_determinants_say_nothing():
    class Bare(Own):
        def to_data(self, z, c=None):
            return super().to_data(z, c)[0], None

    case = dataclasses.replace(CASES["MAF"], adapter=Bare, excused={"context": "takes none"})
    assert run(case, "inverse det").status == "n.a."
    assert run(case, "bad context") == Result("n.a.", reason="takes none")


def test_circular_coordinates_have_their_own_grid_and_draws():
    class OnCircle(Own):
        def log_prob(self, x, c=None):
            return (1 + x[:, 0].cos()).log() - 1.8378770664093453 - 0.5 * (1.8378770664093453 + x[:, 1] ** 2)

    case = dataclasses.replace(CASES["MAF"], adapter=OnCircle, circle="first")
    assert case.draw(100, 2)[:, 0].abs().max() <= torch.pi
    assert run(case, "mass").status == "pass"


def test_running_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    run(CASES["MAF"], "log-det")
    assert torch.equal(state, torch.get_rng_state())


def test_a_library_that_is_missing_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "zuko", None)
    table = measure("zuko", ["log-det"], None)
    assert table.results == {}
    assert table.absent["zuko"]  # its import fails, or it is not installed


def test_the_table_survives_json_and_becomes_a_page():
    results = {
        ("ours", "A"): {"log-det": Result("pass", 0.0, 1.0), "mass": Result("fail", 0.5, 0.01, "total mass 0.5")},
        ("theirs", "B"): {
            "log-det": Result("n.a.", reason="no inverse"),
            "mass": Result("error", reason="ValueError: x | y"),
        },
    }
    table = Table.from_dict(Table(results, {"ours": "1.0"}, {"third": "ImportError: gone"}).to_dict())
    assert table.results == results
    page = markdown(table, "the command")
    assert "| ours A | ✓ | ✗ | 1/2 |" in page
    assert "| theirs B | – | ✗ | 0/1 |" in page
    assert "- ours A, mass: 0.5 > 0.01; total mass 0.5" in page
    assert "- third: left out, ImportError: gone" in page
    assert "ValueError: x / y" in page


def test_every_check_has_a_sentence():
    assert len(CHECKS) >= 20
    assert all(check.sentence.endswith(".") for check in CHECKS.values())


@pytest.mark.slow
@pytest.mark.dear
def test_the_command_writes_a_page(tmp_path):
    out = tmp_path / "page.md"
    out.write_text("old\n<!-- what follows is written by hand and kept -->\n## By hand\n")
    assert main(["--only", "pushforward", "--check", "log-det", "--out", str(out)]) == 0
    assert "| pushforward MAF | ✓ | 1/1 |" in out.read_text()
    assert out.read_text().endswith("## By hand\n")
    assert "old" not in out.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["page.md"]


def test_the_command_says_so_when_it_cannot_write(tmp_path, capsys):
    out = tmp_path / "file" / "results.json"
    out.parent.write_text("")
    assert main(["--here", "--only", "pushforward", "--check", "empty", "--json", str(out)]) == 1
    assert "expected a path that can be written" in capsys.readouterr().err


def test_the_command_refuses_unknown_names():
    with pytest.raises(SystemExit) as stop:
        main(["--only", "nobody"])
    assert stop.value.code == 2


def test_the_interface_of_zuko():
    case = CASES["NSF autoregressive"]
    flow = case.build(3, 2).module
    lazy = LazyFlow(flow)
    x, c = torch.randn(7, 3, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    t = lazy(c).transform
    z, ladj = t.call_and_ladj(x)
    assert torch.allclose(t.inv(z), x, atol=1e-9)
    assert torch.allclose(t.log_abs_det_jacobian(x, z), ladj)
    assert torch.allclose(lazy(c).log_prob(x), flow.base.log_prob(z) + ladj)
    assert lazy(c).sample((4,)).shape == (4, 3)
    jacobian = torch.autograd.functional.jacobian(t, x[0])
    assert torch.allclose(torch.linalg.slogdet(jacobian).logabsdet, ladj[0])


def test_the_interface_of_zuko_refuses_a_flow_between_two_spaces():
    space = pf.core.Box((2,), 0.0, 1.0)
    flow = pf.Flow(pf.transforms.Logit(space), pf.distributions.Normal(pf.core.Real((2,))))
    with pytest.raises(pf.errors.SpecError, match="expected a flow with one space on both sides"):
        LazyFlow(flow)
