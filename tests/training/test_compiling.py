"""Compiled training: the same numbers, one graph, no recompilation, and a run that goes on without when it must."""

import copy
import gc
import logging
import os
import signal
import weakref

import numpy as np
import pytest
import torch
from test_training import (
    QUICK,
    Breaks,
    Dying,
    Killed,
    breaking,
    counts,
    noisy_model,
    same,
    sentence,
    small,
    table,
    without_times,
)

import pushforward as pf
from pushforward.core import Flow
from pushforward.errors import SpecError, TrainingError
from pushforward.laws import all_cases
from pushforward.laws.interface import example
from pushforward.objectives import NegativeLogLikelihood
from pushforward.systems.spec import Spec
from pushforward.tables import infer_schema, table_from, table_model
from pushforward.training import TrainConfig, compiling, evaluate, fit, split_rows
from pushforward.training.checkpoint import load_checkpoint
from pushforward.training.model_weights import snapshot

# Of pictures that end at a single position torch traces another layout than a convolution gives: such training goes on
# uncompiled, with a warning. A larger case stands for that system.
INSTEAD = {"nsf-image-0": "nsf-image-2"}
CASES = {case.name: case for case in all_cases()}
FIRST_CASES = [
    CASES[INSTEAD.get(name, name)] for name, case in CASES.items() if case.spec is not None and name.endswith("-0")
]


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Counting:
    """A backend that counts the graphs it is given and the calls of what it made of them."""

    def __init__(self):
        self.graphs = self.calls = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        run = torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

        def counted(*args):
            self.calls += 1
            return run(*args)

        return counted


@pytest.fixture
def whole_compiler():
    """The real compiler, without a pool of processes of its own."""
    from torch._inductor import config

    with config.patch(compile_threads=1):
        yield


@pytest.fixture
def backend(monkeypatch):
    counting = Counting()
    monkeypatch.setattr(compiling, "BACKEND", counting)
    return counting


REHEARSALS = 2
"""Steps of the compiled objective before the first one that counts."""


def gradients(loss, batch, model):
    torch.manual_seed(0)
    value = loss(batch)
    value.backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad()
    return value.detach(), found


# The same numbers


@pytest.mark.dear
@pytest.mark.parametrize("case", FIRST_CASES, ids=lambda case: case.name)
def test_loss_and_gradients_of_every_system(case, monkeypatch):
    """Through the front of the compiler only, which is much quicker than all of it."""
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager_default_partitioner")
    check_gradients(case)


@pytest.mark.dear
@pytest.mark.slow
@pytest.mark.usefixtures("whole_compiler")
def test_loss_and_gradients_through_the_whole_compiler():
    check_gradients(next(case for case in FIRST_CASES if case.name == "made-0"))


def check_gradients(case):
    """In double precision, as eager code and compiled code may round the same formula differently."""
    model, x, c = example(case, n=16)
    model.train()
    batch = (x,) if c is None else (x, c)
    objective = NegativeLogLikelihood(model)
    loss = compiling.compiled(objective, objective, batch)
    assert loss is not None
    value, found = gradients(loss, batch, model)
    expected, truth = gradients(objective, batch, model)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(found, truth)
    assert any(bool(g.any()) for g in truth.values())


def test_every_exact_system_is_under_the_test_above():
    exact = {name for name, spec in Spec.registry.items() if not next(spec.cases()).build().exactness}
    assert {case.name.rpartition("-")[0] for case in FIRST_CASES} >= exact


@pytest.mark.dear
def test_models_of_tables_compile_whole(backend):
    rng = np.random.default_rng(0)
    height = 170 + 10 * rng.standard_normal(60)
    height[::7] = np.nan
    columns = {"height": height, "children": rng.poisson(1.5, 60), "city": rng.choice(["Rome", "Oslo", "Lima"], 60)}
    schema = infer_schema(table_from(columns))
    rows = schema.encode(table_from(columns))
    runs = []
    for compile in (False, True):
        torch.manual_seed(0)
        model = table_model(schema, "nsf", layers=1, hidden=8)
        result = fit(model, rows, compile=compile, **QUICK)
        runs.append(result.history)
    assert backend.graphs == 1
    assert result.config["compile"]
    assert [r["train"] for r in runs[0]] == pytest.approx([r["train"] for r in runs[1]], rel=1e-4)


@pytest.mark.dear
@pytest.mark.slow
@pytest.mark.usefixtures("whole_compiler")
def test_a_noisy_model_is_trained_to_the_same_weights_with_every_part_compiled(caplog):
    """Dequantisation, dropout and running averages, through the real compiler: random numbers are those of eager mode."""
    runs = []
    for compile in (False, True):
        model = noisy_model()
        runs.append((fit(model, counts(), compile=compile, lr=1e-2, **QUICK), snapshot(model)))
    (eager, weights), (fast, found) = runs
    assert warnings_of(caplog) == []
    assert (eager.config["compile"], fast.config["compile"]) == (False, True)
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, atol=1e-4, rtol=1e-4)
    for a, b in zip(eager.history, fast.history, strict=True):
        assert a["validation"] == pytest.approx(b["validation"], abs=1e-4)
        assert a["train"] == pytest.approx(b["train"], abs=1e-4)
        assert a["gradient"] == pytest.approx(b["gradient"], rel=1e-3)


# One graph


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_one_graph_for_all_full_batches(backend, ema):
    eager_rows = []

    class Look(NegativeLogLikelihood):
        def forward(self, batch):
            if not torch.compiler.is_compiling():
                eager_rows.append((self.training, len(batch[0])))
            return super().forward(batch)

    x = table(100)
    expected = small(batch_norm=True)
    history = fit(expected, x, validation=18, ema=ema, lr=1e-2, **QUICK).history
    model = small(batch_norm=True)
    result = fit(model, x, objective=Look(model), validation=18, ema=ema, lr=1e-2, compile=True, **QUICK)
    # 82 rows: 32 + 32 + 18, three times
    assert backend.graphs == 1
    assert backend.calls == REHEARSALS + 6
    assert eager_rows == [(True, 18), (False, 18)] * 3
    assert [r["validation"] for r in result.history] == pytest.approx([r["validation"] for r in history], abs=1e-5)
    assert evaluate(model, x[split_rows(100, 18, 0)[1]]).mean().item() == pytest.approx(
        result.best_validation, abs=1e-5
    )


def test_more_runs_than_torch_compiles_of_one_function(backend):
    """torch keeps eight compiled versions of a function; a run must not use up the next one's share."""
    space = pf.core.Real((2,))
    for _ in range(10):
        model = Flow(pf.transforms.Elementwise(pf.transforms.Affine(), space), pf.distributions.Normal(space))
        assert fit(model, table(), compile=True, max_steps=1, progress=False).config["compile"]
    assert backend.graphs == 10


def test_data_dependent_starts_are_set_before_compiling(backend):
    runs = []
    for compile in (False, True):
        torch.manual_seed(0)
        space = pf.core.Real((2,))
        inner = pf.build("maf", features=2, layers=1, hidden=(8,))
        model = Flow(pf.core.Chain(pf.transforms.ActNorm(space), inner.chain), inner.base)
        fit(model, table() * 3 + 5, compile=compile, **QUICK)
        runs.append(snapshot(model))
    assert backend.graphs == 1
    torch.testing.assert_close(runs[0], runs[1])


# Nothing is left behind


def test_names_files_and_torch_are_as_without(backend, tmp_path):
    from torch._dynamo import eval_frame

    spec = pf.systems.RealNVP(features=2, layers=2, hidden=(8,))
    model = spec.build()
    own = torch.compile(lambda x: x.sin() + 1, backend="eager")
    own(torch.ones(3))
    config, stance = copy.deepcopy(torch._dynamo.config.get_config_copy()), eval_frame._stance
    names = list(model.state_dict())
    result = fit(model, table(), compile=True, checkpoint=tmp_path / "c", **QUICK)
    assert result.config["compile"]
    assert list(model.state_dict()) == names
    assert not [name for name in load_checkpoint(tmp_path / "c")["weights"] if "_orig_mod" in name]
    pf.save(tmp_path / "f", model, spec=spec)
    assert same(pf.load(tmp_path / "f").model, model)
    assert torch._dynamo.config.get_config_copy() == config
    assert eval_frame._stance == stance
    with torch.compiler.set_stance("fail_on_recompile"):
        own(torch.ones(3))
    there = weakref.ref(model)
    del model
    gc.collect()
    assert there() is None


def test_models_compiled_by_the_user_are_trained(backend):
    model = small()
    flow = torch.compile(model, backend="aot_eager")
    result = fit(flow, table(), objective=NegativeLogLikelihood(flow), **QUICK)
    assert result.stopped == "converged"
    assert backend.graphs == 0


# Without a compiler


def eager_of(make, data, **options):
    model = make()
    return model, fit(model, data, **options)


def warnings_of(caplog):
    return [record for record in caplog.records if record.name == "pushforward.training"]


def one_warning(caplog, start="the objective was not compiled, training continues without: "):
    (record,) = warnings_of(caplog)
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert text.startswith(start)
    assert "\n" not in text
    assert len(text) < 300
    return text


def test_without_a_compiler_the_run_goes_on_as_if_it_had_not_been_asked_for(caplog, monkeypatch):
    from torch._inductor import config
    from torch._inductor.utils import fresh_cache

    whole, expected = eager_of(noisy_model, counts(), **QUICK)
    with fresh_cache(), config.patch({"cpp.cxx": ("no-such-compiler",)}):
        model = noisy_model()
        result = fit(model, counts(), compile=True, **QUICK)
    assert "no-such-compiler" in one_warning(caplog)
    assert same(model, whole)
    assert without_times(result) == without_times(expected)
    assert result.config["compile"] is False


@pytest.mark.parametrize("when", ["graph", "backward", "second call"])
def test_what_does_not_compile_whole_runs_without(caplog, monkeypatch, when):
    def broken(graph, inputs):
        raise RuntimeError("this compiler is out of order\nand says more")

    class Odd(NegativeLogLikelihood):
        calls = 0

        def forward(self, batch):
            if when == "graph" and float(batch[0].sum()) > 1e9:
                return super().forward(batch) * 2
            if when == "second call" and self.training:
                self.calls += 1
                return super().forward(batch) + 0 * self.calls
            return super().forward(batch)

    from torch._dynamo.backends.common import aot_autograd

    fails = aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=broken)
    monkeypatch.setattr(compiling, "BACKEND", fails if when == "backward" else "aot_eager")
    whole, expected = eager_of(noisy_model, counts(), **QUICK)
    model = noisy_model()
    result = fit(model, counts(), objective=Odd(model), compile=True, **QUICK)
    one_warning(caplog)
    assert same(model, whole)
    assert without_times(result) == without_times(expected)


def test_errors_of_the_objective_are_the_objectives(backend):
    class Rows(NegativeLogLikelihood):
        def forward(self, batch):
            return self.model(*batch)

    flow = small()
    with pytest.raises(TrainingError) as error:
        fit(flow, table(), objective=Rows(flow), compile=True, **QUICK)
    assert "a scalar loss, got a tensor of shape (32,)" in sentence(error)


def test_ctrl_c_while_compiling(tmp_path, monkeypatch):
    def pressed(graph, inputs):
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError

    monkeypatch.setattr(compiling, "BACKEND", pressed)
    whole, expected = eager_of(noisy_model, counts(), **QUICK)
    path = tmp_path / "c"
    model = noisy_model()
    result = fit(model, counts(), compile=True, checkpoint=path, **QUICK)
    assert (result.stopped, result.steps) == ("interrupted", 0)
    assert f"continue with resume={str(path)!r}" in result.message
    resumed = noisy_model(seed=1)
    assert without_times(fit(resumed, counts(), resume=path, **QUICK)) == without_times(expected)
    assert same(resumed, whole)


def test_the_option_is_checked():
    with pytest.raises(SpecError, match="expected compile to be True or False, got 'yes'"):
        TrainConfig(compile="yes")


# Cut off and resumed


def test_resumed_runs_end_with_the_same_weights(backend, tmp_path):
    options = {"compile": True, "checkpoint_seconds": 0.0, "lr": 1e-2, **QUICK}
    whole, expected = eager_of(noisy_model, counts(), **options)
    path = tmp_path / "c"
    part = fit(noisy_model(), counts(), checkpoint=path, max_steps=7, **options)
    assert part.stopped == "limit"
    resumed = noisy_model(seed=5)
    result = fit(resumed, counts(), resume=path, **options)
    assert backend.graphs == 3
    assert same(whole, resumed)
    assert without_times(result) == without_times(expected)


def test_a_run_may_go_on_with_or_without(backend, tmp_path):
    path = tmp_path / "c"
    whole, _ = eager_of(small, table(), **QUICK)
    model = small()
    with pytest.raises(Killed):
        fit(model, table(), objective=Dying(model, 8), checkpoint=path, checkpoint_seconds=0.0, **QUICK)
    resumed = small(seed=3)
    result = fit(resumed, table(), resume=path, checkpoint_seconds=0.0, compile=True, **QUICK)
    assert backend.graphs == 1
    assert result.config["compile"]
    torch.testing.assert_close(snapshot(resumed), snapshot(whole))


def test_checkpoints_from_before_the_options_are_read(tmp_path):
    path = tmp_path / "c"
    whole, _ = eager_of(small, table(), **QUICK)
    fit(small(), table(), checkpoint=path, max_steps=3, **QUICK)
    state = load_checkpoint(path)
    for name in ("compile", "autocast", "threads"):
        del state["config"][name]
    del state["scale"]
    # Version 2, which had no checksum.
    torch.save({**state, "version": 2}, path)
    resumed = small(seed=2)
    fit(resumed, table(), resume=path, **QUICK)
    assert same(resumed, whole)


# Numbers that are not finite


def test_a_bad_row_in_a_compiled_step_is_named(backend):
    x = table() * 0.2
    marked = split_rows(len(x), 0.1, seed=0)[0][70].item()
    x[marked, 0] = 50.0
    model = breaking()
    model.chain.layers[1].on, model.chain.layers[1].level = True, 20.0
    before = snapshot(model)
    messages = []
    for compile in (False, True):
        with pytest.raises(TrainingError) as error:
            fit(model, x, initialise=False, validation=0.1, epochs=1, batch_size=30, compile=compile, progress=False)
        messages.append(sentence(error))
    assert messages[0] == messages[1]
    assert "came from chain.layers.1 (Breaks)" in messages[1]
    assert f"(rows {marked} of the training data)" in messages[1]
    assert backend.calls > REHEARSALS
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())


def test_a_failure_that_depends_on_chance_is_found_again(backend):
    class Unlucky(Breaks):
        def forward(self, x, context=None):
            z, dlogp = super().forward(x)
            return torch.where(torch.rand(()) < 0.05, z * torch.nan, z) if self.training else z, dlogp

    space = pf.core.Real((2,))
    model = Flow(pf.core.Chain(Unlucky(), pf.transforms.Elementwise(pf.transforms.Affine(), space)), small().base)
    with pytest.raises(TrainingError) as error:
        fit(model, table(), epochs=1, batch_size=2, seed=2, initialise=False, compile=True, progress=False)
    assert "came from chain.layers.0 (Unlucky)" in sentence(error)
    assert backend.calls > REHEARSALS


def test_a_model_that_changes_during_the_run_is_followed(backend):
    """Compiled code that no longer fits is left aside, not made again."""
    model = breaking()
    model.chain.layers[1].level = -10.0

    def after(record):
        model.chain.layers[1].on = record["epoch"] == 2

    result = fit(
        model, table(), epochs=9, batch_size=30, initialise=False, callbacks=[after], compile=True, progress=False
    )
    assert result.stopped == "nonfinite"
    assert result.epochs == 2
    assert "came from chain.layers.1 (Breaks)" in result.message
    assert backend.graphs == 1
