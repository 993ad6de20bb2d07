"""The speed benchmarks: the harness itself, and that whoever takes part does the same work."""

import importlib.util
import json
import statistics
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import peers  # noqa: E402
from benchmarks.peers.library import Model, Plain, randomise, standard_normal, trainable  # noqa: E402
from benchmarks.speed import aims, checks, cli, report, timing  # noqa: E402
from benchmarks.speed.cases import flows, peak, spline, start  # noqa: E402
from benchmarks.speed.floor import Floor  # noqa: E402
from benchmarks.speed.results import Case, Cell, Entry, ResultsError, Store, dump, ratio  # noqa: E402
from benchmarks.speed.runner import build  # noqa: E402
from benchmarks.speed.words import METHOD, place  # noqa: E402
from benchmarks.speed.work import SYSTEMS, VECTORS, Size, Work, works  # noqa: E402

sys.path.remove(str(ROOT))

CPU = torch.device("cpu")
SMALL = Size("5", (5,), 6, 64)
VECTOR_SYSTEMS = [name for name, system in SYSTEMS.items() if system.structure != "image"]
RUN = {
    "date": "2026-01-02",
    "machine": "a machine",
    "threads": 1,
    "rounds": 5,
    "python": "3",
    "torch": "2",
    "versions": {},
}


def small(system):
    return Work(SYSTEMS[system], SMALL)


# The work


def test_every_system_meets_every_size_of_its_kind():
    found = works()
    assert len(found) == 5 * 4 + 1
    assert {work.size.name for work in works(["glow"])} == {"image"}
    assert [work.name for work in works(["maf"], ["43"])] == ["MAF at (43, 512, 256)"]


@pytest.mark.parametrize("system", VECTOR_SYSTEMS)
def test_own_flow_is_the_expected_work(system):
    work = small(system)
    torch.manual_seed(0)
    found = checks.check(build("pushforward", work, CPU), Floor(work), work)
    assert found.parameters == sum(p.numel() for p in Floor(work).parameters())
    one_pass = found.sampling if work.system.inverted else found.density
    assert one_pass == pytest.approx(1, abs=0.2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("system", VECTOR_SYSTEMS)
@pytest.mark.parametrize("name", peers.PEERS)
def test_peers_do_the_same_work_or_say_why_not(name, system):
    work = small(system)
    try:
        torch.manual_seed(0)
        model = build(name, work, CPU)
    except peers.Absent as reason:
        pytest.skip(str(reason))
    found = checks.check(model, Floor(work), work)
    assert found.parameters == sum(p.numel() for p in Floor(work).parameters())
    slow = found.density if work.system.inverted else found.sampling
    assert slow >= (SMALL.features if work.system.structure == "autoregressive" else 1)


def test_a_library_that_is_not_installed_is_absent():
    missing = [name for name in peers.PEERS if importlib.util.find_spec(peers.load_entry(name).package) is None]
    for name in missing:
        with pytest.raises(peers.Absent, match="not installed"):
            peers.load(name)
        assert peers.version(name) == ""
    assert peers.version("pushforward")


def test_steps_of_glow_are_the_expected_work():
    work = works(["glow"])[0]
    model, floor = build("pushforward", work, CPU), Floor(work)
    assert checks.check(model, floor, work).parameters <= 1.02 * sum(p.numel() for p in floor.parameters())
    x, log_prob = model.sample_and_log_prob(2)
    torch.testing.assert_close(model.log_prob(x), log_prob, atol=0.1, rtol=1e-4)


class Fake(Model):
    """Plain networks that pass for a flow; each fault breaks one promise."""

    def __init__(self, work, fault=""):
        width = work.size.width * (2 if fault == "parameters" else 1)
        super().__init__(nn.ModuleList(Plain(a, b, width) for a, b in work.networks), work.size.shape)
        self.work, self.fault = work, fault

    def log_prob(self, x, c=None):
        for _ in range(2 if self.fault == "passes" else 1):
            for net, (inputs, _) in zip(self.module, self.work.networks, strict=True):
                net(x[:, :inputs])
        return standard_normal(x) + (float("nan") if self.fault == "finite" else 0)

    def sample(self, n, c=None):
        return torch.randn(n, *self.shape)

    def to_latent(self, x, c=None):
        return x, x.new_zeros(len(x))

    def to_data(self, z, c=None):
        return z, z.new_zeros(len(z))

    def sample_and_log_prob(self, n):
        x = self.sample(n)
        return x, standard_normal(x) + (1.0 if self.fault == "agreement" else 0)


@pytest.mark.parametrize(
    ("fault", "said"), [("parameters", "parameters where"), ("passes", "2.00 passes"), ("finite", "finite numbers")]
)
def test_other_work_is_left_out(fault, said):
    work = small("realnvp")
    with pytest.raises(peers.Absent, match=said):
        checks.check(Fake(work, fault), Floor(work), work)


def test_a_log_probability_that_is_not_the_density_is_noted():
    work = small("realnvp")
    honest, other = Fake(work), Fake(work, "agreement")
    checks.check(honest, Floor(work), work)
    checks.check(other, Floor(work), work)
    assert not honest.notes
    assert "is not the density there" in other.notes[0]


def test_weights_have_one_spread_and_a_seed():
    one, two = nn.Linear(400, 300), nn.Linear(400, 300)
    randomise(one)
    randomise(two)
    torch.testing.assert_close(one.weight, two.weight, rtol=0, atol=0)
    assert one.weight.std().item() == pytest.approx(0.5 / 20, rel=0.02)
    assert one.bias.std().item() == pytest.approx(0.1, rel=0.15)


# The floor


def test_floor_is_the_networks_forward_and_backward():
    work = small("nsf-coupling")
    floor = Floor(work)
    inputs, gradients = floor.inputs(6, CPU), floor.gradients(6, CPU)
    assert [x.requires_grad for x in inputs] == [False] + [True] * 5
    floor.backward(inputs, gradients)
    for net, x, gradient in zip(floor.networks, inputs, gradients, strict=True):
        expected = torch.autograd.grad((net(x) * gradient).sum(), net[0].weight)[0]
        torch.testing.assert_close(net[0].weight.grad, expected)
    assert inputs[0].grad is None
    assert all(x.grad is not None for x in inputs[1:])
    assert [tuple(y.shape[1:]) for y in floor(inputs)] == [(b,) for _, b in work.networks]


# The clock


class FakeClock(timing.Clock):
    """Each contender is a number of seconds; the machine gets slower and slower."""

    def __init__(self):
        super().__init__()
        self.blocks = []

    def block(self, call, count):
        self.blocks.append((call.__name__, count))
        return call() * (1 + 0.1 * len(self.blocks))


def contender(name, seconds):
    def call():
        if seconds is None:
            raise ValueError("cannot\nbe called")
        return seconds

    call.__name__ = name
    return call


def quiet(text):
    del text


def test_turns_are_interleaved_and_compared_within_a_round():
    clock = FakeClock()
    calls = {name: contender(name, seconds) for name, seconds in (("a", 0.1), ("b", 0.2), ("c", 0.4))}
    found, failed = timing.in_turns(calls, "a", timing.Plan(rounds=4), clock, quiet)
    rounds = [[name for name, _ in clock.blocks[-12:]][i : i + 3] for i in range(0, 12, 3)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
    assert not failed
    assert found["a"].relative == [1.0] * 4
    for name, expected in (("b", 2), ("c", 4)):
        assert len(found[name].relative) == 4
        assert statistics.median(found[name].relative) == pytest.approx(expected, rel=0.2)
        pairs = zip(found[name].seconds, found["a"].seconds, strict=True)
        assert found[name].relative == pytest.approx([over / under for over, under in pairs])


def test_slow_calls_are_measured_once_or_twice():
    clock = FakeClock()
    calls = {name: contender(name, seconds) for name, seconds in (("own", 0.1), ("slow", 100.0), ("slower", 2.0))}
    found, _ = timing.in_turns(calls, "own", timing.Plan(rounds=5, slow=4.0), clock, quiet)
    assert [len(found[name].relative) for name in ("own", "slow", "slower")] == [5, 1, 2]
    assert [name for name, _ in clock.blocks].count("slow") == 1


def test_who_fails_is_left_out_and_the_others_go_on():
    calls = {name: contender(name, seconds) for name, seconds in (("own", 0.1), ("broken", None))}
    found, failed = timing.in_turns(calls, "own", timing.Plan(rounds=2), FakeClock(), quiet)
    assert list(found) == ["own"]
    assert failed == {"broken": "ValueError: cannot"}
    with pytest.raises(timing.ReferenceFailed, match="ValueError: cannot"):
        timing.in_turns(calls, "broken", timing.Plan(rounds=2), FakeClock(), quiet)


def test_short_calls_fill_a_block():
    calls = []
    clock = timing.Clock()
    found, _ = timing.in_turns(
        {"own": lambda: calls.append(1)}, "own", timing.Plan(rounds=2, block=0.002), clock, quiet
    )
    assert found["own"].seconds[0] < 0.001
    assert len(calls) > 100


# The cases


@pytest.mark.parametrize("system", VECTOR_SYSTEMS)
def test_every_case_of_whole_flows_runs(system):
    work = small(system)
    model = build("pushforward", work, CPU)
    bench = flows.Bench(work, {"pushforward": model}, Floor(work), CPU)
    for case, make in flows.FLOWS.items():
        before = [p.detach().clone() for p in trainable(model)]
        found = make(bench)
        expected = {"pushforward", "floor"}
        if case.startswith("sampling") and system in aims.SLOW_DRAWS:
            expected.add("pushforward:density")
        assert set(found.calls) == expected
        for call in found.calls.values():
            call()
        changed = any(not torch.equal(a, b) for a, b in zip(before, trainable(model), strict=True))
        assert changed == (case == "training")


def test_a_training_step_has_the_gradient_of_its_loss():
    work = small("iaf")
    model = build("pushforward", work, CPU)
    x = torch.randn(6, 5)
    torch.manual_seed(1)
    loss = flows.ReverseKL(model)(x)
    torch.manual_seed(1)
    drawn, log_prob = model.sample_and_log_prob(6)
    torch.testing.assert_close(loss, (log_prob + 0.5 * drawn.square().sum(1)).mean())
    torch.testing.assert_close(flows.Likelihood(model)(x), -model.log_prob(x).mean())


def test_what_does_not_compile_is_said():
    found = flows.Contenders({}, {}, {})

    def broken():
        raise RuntimeError("graph break\nand more")

    found.add_compiled("zuko:compiled", lambda: broken)
    found.add_compiled("pushforward:compiled", lambda: quiet.__class__)
    assert found.failed["zuko:compiled"] == "does not compile: RuntimeError: graph break"
    assert "zuko:compiled" not in found.calls


@pytest.mark.parametrize("system", ["nsf-coupling", "nsf-ar"])
def test_spline_alone_has_as_many_elements_as_a_layer(system):
    work = small(system)
    rows, columns = spline.elements(work)
    assert (rows, columns) == (6, 3 if system == "nsf-coupling" else 5)
    run = peers.load("pushforward").spline(work)
    x, p = torch.randn(rows, columns), torch.randn(rows, columns, work.system.n)
    z, slopes = run(x, p)
    assert z.shape == slopes.shape == x.shape
    for direction in spline.DIRECTIONS:
        for call in spline.spline(work, {"pushforward": run}, direction, CPU, ()).calls.values():
            call()


def test_the_spline_is_the_same_map_in_either_layout_of_its_parameters():
    rows, columns, n = 6, 3, SYSTEMS["nsf-coupling"].n
    x, p = torch.randn(rows, columns), torch.randn(rows, columns, n)
    own = peers.load("pushforward")
    one, other = (own.spline(small(name)) for name in ("nsf-coupling", "nsf-ar"))
    torch.testing.assert_close(one(x, p.mT.contiguous().mT), other(x, p))


def test_saved_storages_are_counted_once():
    weight = torch.randn(4, 4, requires_grad=True)
    x = torch.randn(3, 4)
    saved = peak.Saved([weight, x])
    with saved.hooks:
        y = x @ weight
        z = y.exp()
        total = (z * z).sum() + z.square().sum()
    assert saved.total == 3 * 4 * 4
    total.backward()
    assert weight.grad is not None


def test_peak_memory_of_a_step():
    found = peak.measure("pushforward", small("maf"), CPU)
    assert 0 < found["saved"] < 1
    assert found["resident"] >= 0
    assert peak.measure("pushforward", works(["glow"])[0], CPU)["saved"] > found["saved"]


@pytest.mark.dear
@pytest.mark.slow
def test_the_start_is_measured_in_fresh_processes():
    cells = {cell.key: cell for cell in start.start(["pushforward", "flowjax"], 1, 1, quiet)}
    for key in (("import",), ("first density",)):
        entry = cells[key].entries["pushforward"]
        assert entry.relative == [1.0]
        assert 0 < entry.extra["seconds"] < 30
        assert "flowjax" in cells[key].left_out or peers.version("flowjax")


# The results


def test_ratios_are_of_rounds():
    found = ratio([2.0, 3.0, 4.0, 5.0, 60.0], [1.0, 1.0, 1.0, 1.0, 10.0])
    assert (found.median, found.low, found.high, found.rounds) == (4.0, 3.0, 5.0, 5)
    assert ratio([60.0, 90.0], [2.0, 3.0, 4.0]).low == 20
    assert ratio([60.0, 90.0, 120.0], [2.0, 3.0]).rounds == 2
    assert ratio([], [1.0]) is None
    assert Cell(("maf", "8"), "pushforward").ratio("zuko", "pushforward") is None


def cell(key=("maf", "43"), reference="pushforward", left_out=None, extra=None, **relative):
    entries = {
        name.replace("__", ":"): Entry([value] * 5 if isinstance(value, float) else value, "", dict(extra or {}))
        for name, value in relative.items()
    }
    return Cell(key, reference, entries, dict(left_out or {}))


def test_a_part_replaces_what_it_measured_and_nothing_else():
    case = Case("training")
    first = cell(pushforward=1.0, zuko=2.0, zuko__compiled=1.5, pushforward__compiled=0.5, left_out={"nflows": "no"})
    case.add(first, RUN)
    later = {**RUN, "date": "2026-03-04"}
    case.add(cell(pushforward=1.0, nflows=4.0, left_out={"zuko": "not installed"}), later)
    assert "zuko" in case.cells["maf", "43"].entries
    assert not case.cells["maf", "43"].left_out
    case.add(cell(pushforward=1.0, nflows=4.0, left_out={"zuko": "gone"}), later)
    found = case.cells["maf", "43"]
    assert set(found.entries) == {"pushforward", "pushforward:compiled", "nflows"}
    assert found.left_out == {"zuko": "gone"}
    assert sorted(run["date"] for run in case.runs.values()) == ["2026-01-02", "2026-03-04"]
    case.add(cell(pushforward=1.0, pushforward__compiled=0.6), later)
    assert [run["date"] for run in case.runs.values()] == ["2026-03-04"]
    case.add(cell(reference="floor", floor=1.0), later)
    assert set(case.cells["maf", "43"].entries) == {"floor"}


def test_results_are_stored_and_read_again(tmp_path):
    store = Store(tmp_path)
    case = Case("training")
    case.add(cell(pushforward=1.0, zuko=2.123456789, extra={"milliseconds": 1.0}), RUN)
    store.save("cpu-1-thread", case)
    assert store.settings() == ["cpu-1-thread"]
    again = store.case("cpu-1-thread", "training")
    assert again.cells["maf", "43"].entries["zuko"].relative == [2.1235] * 5
    assert again.runs == case.runs
    assert dump(again.to_dict()) == (tmp_path / "cpu-1-thread" / "training.json").read_text()
    assert not store.case("cpu-1-thread", "density").cells
    (tmp_path / "cpu-1-thread" / "training.json").write_text("{")
    with pytest.raises(ResultsError, match="remove the file"):
        store.case("cpu-1-thread", "training")


def test_dump_is_json_by_line():
    values = {"a": list(range(50)), "b": [{"c": "x" * 100, "d": [1.5] * 40}], "e": {}}
    text = dump(values)
    assert json.loads(text) == values
    assert len(text.splitlines()) < 12


# The aims


def with_cells(name, *cells):
    case = Case(name)
    for one in cells:
        case.add(one, RUN)
    return {name: case}


def verdicts(cases):
    return {aim.text: aim.verdict for aim in aims.aims(cases)}


def test_without_measurements_no_aim_is_reached():
    assert set(verdicts({}).values()) == {"not measured"}


def test_aims_take_the_worst_cell_and_the_best_peer():
    cases = with_cells(
        "training",
        cell(("nsf-ar", "43"), pushforward=1.0, floor=0.5, zuko=1.6, nflows=1.51, pushforward__compiled=0.7),
        cell(("nsf-coupling", "43"), pushforward=1.0, floor=0.49, zuko=1.7, pushforward__compiled=0.6),
        cell(("maf", "43"), pushforward=1.0, floor=0.9, zuko=0.99),
    )
    found = {aim.text: aim for aim in aims.aims(cases)}
    by_start = {text.partition(",")[0]: aim for text, aim in found.items()}
    splines = found["spline flows, training step: the best peer takes >= 1.5 times as long"]
    assert (splines.verdict, splines.reached, splines.worst) == ("reached", 2, (1.51, "nsf-ar, 43, nflows"))
    floor = found["spline flows, training step at (43, 512, 256): <= 2 times the floor"]
    assert floor.verdict == "**missed**"
    assert floor.worst[0] == pytest.approx(1 / 0.49)
    compiled = found["the same, compiled, beside the best peer as it is: >= 2.5 times"]
    assert compiled.worst[0] == pytest.approx(1.51 / 0.7)
    assert by_start["MAF"].verdict == "reached"
    assert by_start["never slower than any peer"].verdict == "**missed**"
    assert by_start["RealNVP"].verdict == "not measured"


def test_aims_of_drawing_memory_and_import():
    cases = {
        **with_cells(
            "sampling",
            cell(("maf", "64"), pushforward=1.0, pushforward__density=0.5, zuko=[25.0], nflows=[19.0]),
            cell(("nsf-ar", "256"), pushforward=1.0, pushforward__density=0.2, zuko=100.0),
        ),
        **with_cells("constant-memory", cell(("realnvp", "43"), "store", store=1.0, invert=1.5, extra={"growth": 1.2})),
        **with_cells("start", cell(("import",), pushforward=1.0, extra={"seconds": 0.01})),
        **with_cells("spline", cell(("nsf-ar", "8", "forward and backward"), pushforward=1.0, zuko=2.9)),
    }
    found = verdicts(cases)
    assert found["autoregressive sampling at D = 64: the best peer takes >= 20 times as long"] == "**missed**"
    assert found["autoregressive sampling at batch 4096: <= 2.5 densities"] == "reached"
    assert found["autoregressive sampling at D = 256: <= 4 densities"] == "**missed**"
    assert found["constant-memory training, 64 layers against 8: peak of activations <= 1.3 times"] == "reached"
    assert found["the same, 64 layers: time <= 1.6 times that of ordinary training"] == "reached"
    assert found["`import pushforward`: <= 0.3 s above `import torch`"] == "reached"
    assert found["spline alone, forward and backward: the best peer takes >= 3 times as long"] == "**missed**"


# The page


def test_the_page_says_who_is_fastest_who_is_missing_and_why():
    cases = with_cells(
        "training",
        cell(
            pushforward=1.0, floor=0.5, zuko=[1.9, 2.0, 2.1, 2.0], nflows=[40.0], left_out={"freia": "no such layers"}
        ),
        cell(("glow", "image"), "floor", floor=1.0, nflows=1.25, left_out={"pushforward": "not there yet"}),
        cell(("realnvp", "8"), pushforward=1.0, floor=0.8, zuko=1.5, left_out={"nflows": "ValueError: a | b"}),
    )
    text = report.page({"cpu-1-thread": cases}, "the command")
    assert "| MAF | 43, 512, 256 | 2.00 (2.00 to 2.00) | **2.00 (1.98 to 2.02)** | 40.0 (1 run) |" in text
    assert text.index("| RealNVP |") < text.index("| MAF |")
    assert "Without Pushforward (not there yet)" in text
    assert "| Glow block | 12 x 16 x 16, 32, 128 | 1.25 (1.25 to 1.25) |" in text
    assert "- FrEIA, MAF: no such layers." in text
    assert "- RealNVP, 8: nflows: ValueError: a / b" in text
    assert "Measured 2026-01-02 on a machine, 1 thread, 5 rounds" in text
    assert METHOD in text
    assert "Written by `the command`" in text


def test_the_page_says_when_compiling_has_paid():
    one = cell(pushforward=1.0, floor=0.5, pushforward__compiled=0.75)
    one.entries["pushforward:compiled"].extra["compiling"] = 100.0
    text = report.page({"cpu-1-thread": with_cells("training", one)}, "the command")
    assert "| 2.00 (2.00 to 2.00) | 1.50 (1.50 to 1.50) |" in text
    assert "its own time included: MAF at (43, 512, 256) 400." in text


def test_two_settings_have_a_chapter_each():
    cases = with_cells("density", cell(pushforward=1.0, zuko=2.0, extra={"milliseconds": 3.0}))
    text = report.page({"cpu-1-thread": cases, "cuda-some-card": cases}, "the command")
    assert "\n## CPU, 1 thread\n" in text
    on_gpu = text.partition("\n## GPU, some card\n")[2]
    assert "zuko takes >= 3 times as long | – | – | not measured" in on_gpu
    assert "Milliseconds:\n\n| system | D, batch, width | Pushforward | zuko |" in on_gpu
    assert "| MAF | 43, 512, 256 | 3 | 3 |" in on_gpu


def test_numbers_have_three_digits():
    assert [report.number(value) for value in (0.123, 9.994, 9.996, 43.21, 345.6)] == [
        "0.12",
        "9.99",
        "10.0",
        "43.2",
        "346",
    ]
    assert place("spline: nsf-ar, 43, forward, zuko").endswith("NSF, autoregressive, (43, 512, 256), forward, zuko")


# The command


def run_command(tmp_path, *arguments):
    folders = ["--results", str(tmp_path / "results"), "--out", str(tmp_path / "RESULTS.md")]
    return cli.main(["--quick", "--size", "8", "--library", "pushforward", *folders, *arguments])


def test_parts_are_merged_and_what_was_written_by_hand_stays(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(VECTORS, "8", Size("8", (8,), 8, 8))
    monkeypatch.setattr(cli, "QUICK", 2)
    page = tmp_path / "RESULTS.md"
    assert run_command(tmp_path, "--system", "realnvp", "--case", "training") == 0
    assert not page.exists()
    assert "training: RealNVP" in capsys.readouterr().out
    assert run_command(tmp_path, "--system", "realnvp", "--case", "training", "--store") == 0
    first = page.read_text()
    assert "## Training step" in first
    assert "## Density" not in first
    page.write_text(first + f"\n{report.KEPT}\n\nBy hand.\n")
    values = tmp_path / "values.json"
    assert (
        run_command(tmp_path, "--system", "maf", "--case", "training", "density", "--store", "--json", str(values)) == 0
    )
    second = page.read_text()
    assert "| RealNVP |" in second
    assert "| MAF |" in second
    assert "## Density" in second
    assert second.endswith(f"\n{report.KEPT}\n\nBy hand.\n")
    assert {case["case"] for case in json.loads(values.read_text())} == {"training", "density"}
    stored = Store(tmp_path / "results").case("cpu-1-thread", "training")
    assert set(stored.cells) == {("realnvp", "8"), ("maf", "8")}
    assert all(not entry.extra for one in stored.cells.values() for entry in one.entries.values())
    assert cli.main(["--page", "--results", str(tmp_path / "results"), "--out", str(page)]) == 0
    assert page.read_text() == second


def test_wrong_usage_is_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--case", "nonsense"])
    assert stopped.value.code == 2
    with pytest.raises(SystemExit):
        cli.main(["--rounds", "0"])
    capsys.readouterr()
    folder = tmp_path / "a" / "file"
    folder.parent.write_text("")
    assert cli.main(["--page", "--results", str(tmp_path / "none"), "--out", str(folder)]) == 1
    assert "choose another" in capsys.readouterr().err
    if not torch.cuda.is_available():
        assert cli.main(["--device", "cuda", "--case", "density"]) == 1
        assert "there is no GPU" in capsys.readouterr().err
