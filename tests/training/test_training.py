"""Training: what is learned, what is kept, how a run ends, and that it goes on exactly where it was cut off."""

import json
import math
import os
import pickle
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import pushforward as pf
from pushforward.core import Box, Chain, Flow, Identity, Integers, Real, Transform
from pushforward.distributions import AutoregressiveCategorical, Normal, Uniform
from pushforward.errors import ContextError, DataError, FileError, SpecError, TrainingError
from pushforward.objectives import NegativeLogLikelihood
from pushforward.training import FitResult, TrainConfig, evaluate, fit, split_rows
from pushforward.training import batches as batches_module
from pushforward.training import checkpoint as checkpoint_module
from pushforward.training import nonfinite as watch_module
from pushforward.training import step as step_module
from pushforward.training import trainer as trainer_module
from pushforward.training.batches import batches
from pushforward.training.checkpoint import load_checkpoint
from pushforward.training.config import batches_in
from pushforward.training.data import Rows
from pushforward.training.learning_rate import schedule_factor
from pushforward.training.model_weights import snapshot
from pushforward.training.moving_average import MovingAverage
from pushforward.training.progress import TimeLeft, make_progress
from pushforward.training.threads import threads_for
from pushforward.training.validation_split import prepare
from pushforward.transforms import ActNorm, Affine, Coupling, Dequantise, Elementwise, Logit

ROWS = 200
QUICK = {"epochs": 3, "batch_size": 32, "progress": False}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def table(rows=ROWS, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])


def small(seed=0, **fields):
    torch.manual_seed(seed)
    return pf.build("realnvp", features=2, layers=2, hidden=(8,), **fields)


def noisy_model(seed=0):
    """Random in three ways: dequantisation, dropout, and running averages."""
    torch.manual_seed(seed)
    space = Integers((2,), 0, 7)
    inner = pf.build("realnvp", features=2, layers=2, hidden=(8,), batch_norm=True, dropout=0.2)
    return Flow(Chain(Dequantise(space), Logit(Box((2,))), *inner.chain.layers), inner.base)


def counts(rows=ROWS):
    return np.random.default_rng(0).binomial(7, [0.3, 0.6], size=(rows, 2))


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(snapshot(a).values(), snapshot(b).values(), strict=True))


def without_times(result):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in result.history]


def sentence(error):
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


# What is learned and kept


def test_likelihood_objective_is_the_mean_nats():
    flow = small(context=1)
    x, c = torch.randn(5, 2), torch.randn(5, 1)
    assert torch.allclose(NegativeLogLikelihood(flow)((x, c)), -flow.log_prob(x, c).mean())


def test_learns_a_correlated_normal():
    x = table(1000)
    flow = pf.build("maf", features=2, layers=1, hidden=(8,))
    result = fit(flow, x, epochs=20, batch_size=64, lr=1e-2, progress=False)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), torch.tensor(np.cov(x.T), dtype=torch.float32))
    test = table(2000, seed=1)
    expected = truth.log_prob(torch.tensor(test, dtype=torch.float32)).mean()
    assert evaluate(flow, test).mean() > expected - 0.03
    assert result.stopped == "converged"
    assert result.best_validation > expected - 0.15


def test_result_describes_the_weights_kept():
    x = table()
    flow = small()
    result = fit(flow, x, validation=50, **QUICK)
    train, valid = split_rows(ROWS, 50, seed=0)
    assert not flow.training
    assert (result.train_rows, result.validation_rows, result.epochs) == (150, 50, 3)
    assert evaluate(flow, x[valid]).mean().item() == pytest.approx(result.best_validation, abs=1e-5)
    assert result.best_validation == max(r["validation"] for r in result.history)
    assert result.history[result.best_epoch - 1]["best"]
    assert sorted([*train.tolist(), *valid.tolist()]) == list(range(ROWS))
    assert json.loads(json.dumps(result.to_dict()))["stopped"] == "converged"


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_best_weights_are_restored_when_later_ones_are_worse(ema):
    x = table()
    flow = small(batch_norm=True)

    def spoil(record):
        if record["epoch"] >= 3:
            with torch.no_grad():
                for parameter in flow.parameters():
                    parameter.add_(1.0)

    result = fit(flow, x, epochs=6, batch_size=32, ema=ema, lr=1e-2, callbacks=[spoil], progress=False)
    assert result.best_epoch <= 3
    _, valid = split_rows(ROWS, 0.1, seed=0)
    assert evaluate(flow, x[valid]).mean().item() == pytest.approx(result.best_validation, abs=1e-5)
    assert result.history[-1]["validation"] < result.best_validation - 0.1


def test_patience_counts_epochs_since_the_best():
    flow = small()
    result = fit(flow, table(), epochs=50, patience=4, lr=1e-30, weight_decay=0, progress=False)
    assert (result.stopped, result.best_epoch, result.epochs) == ("patience", 1, 5)


def test_patience_starts_again_at_every_best_score():
    scores = iter([1.0, 0.0, 0.0, 2.0, 0.0, 2.0, 1.0, 9.0])

    class Scripted(NegativeLogLikelihood):
        def forward(self, batch):
            return super().forward(batch) if self.training else torch.tensor(-next(scores))

    flow = small()
    result = fit(flow, table(), objective=Scripted(flow), epochs=9, patience=3, progress=False)
    assert (result.stopped, result.epochs) == ("patience", 7)
    assert (result.best_epoch, result.best_validation) == (4, 2.0)
    assert [r["best"] for r in result.history] == [True, False, False, True, False, False, False]


def test_training_score_is_the_mean_over_the_epoch():
    flow, x = small(), table()
    result = fit(flow, x, epochs=3, batch_size=50, lr=1e-30, weight_decay=0, initialise=False, progress=False)
    expected = evaluate(small(), x[split_rows(ROWS, 0.1, seed=0)[0]]).mean().item()
    assert [r["train"] for r in result.history] == pytest.approx([expected] * 3, abs=1e-5)


def test_without_validation_all_epochs_run_and_the_last_weights_stay():
    flow, seen = small(), []
    result = fit(
        flow, table(), validation=None, patience=1, ema=0, callbacks=[lambda r: seen.append(snapshot(flow))], **QUICK
    )
    assert (result.stopped, result.best_epoch, result.best_validation) == ("converged", 3, None)
    assert result.train_rows == ROWS
    assert all(torch.equal(seen[-1][k], v) for k, v in snapshot(flow).items())


def test_validation_given_as_rows_with_context():
    x = table()
    flow = small(context=1)
    result = fit(flow, x, context=x[:, :1], validation=(x[:30], x[:30, :1]), **QUICK)
    assert (result.train_rows, result.validation_rows) == (ROWS, 30)
    assert evaluate(flow, x[:30], x[:30, :1]).mean().item() == pytest.approx(result.best_validation, abs=1e-5)


def test_moving_average_is_the_recursion():
    module = nn.Linear(1, 1)
    average = MovingAverage(module, 0.5)
    expected = module.weight.item()
    for step, value in enumerate([3.0, -1.0, 2.0, 5.0, 7.0, 1.0, 2.0, 0.5, 9.0, 4.0, 6.0], 1):
        module.weight.data.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.applied():
        assert module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert module.weight.item() == 6.0


def test_the_averaged_weights_are_the_ones_kept():
    flow, seen = small(), []
    options = {"epochs": 15, "batch_size": ROWS, "ema": 0.5, "lr": 1e-2, "initialise": False, "progress": False}
    expected = snapshot(flow)
    result = fit(flow, table(), validation=None, callbacks=[lambda r: seen.append(snapshot(flow))], **options)
    assert result.steps == 15
    for step, weights in enumerate(seen, 1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = {
            k: decay * v + (1 - decay) * weights[k] if v.is_floating_point() else v for k, v in expected.items()
        }
    assert all(torch.allclose(expected[k], v, atol=1e-6) for k, v in snapshot(flow).items())
    assert not all(torch.allclose(seen[-1][k], v, atol=1e-6) for k, v in snapshot(flow).items())


def test_an_objective_of_ones_own_is_trained_with_its_parameters():
    class Distance(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model, self.centre = model, nn.Parameter(torch.zeros(2))

        def forward(self, batch):
            return (self.model(batch[0]) - self.centre).square().mean()

    model = nn.Linear(2, 2)
    objective = Distance(model)
    result = fit(model, table(), objective=objective, lr=1e-2, **QUICK)
    assert result.history[-1]["validation"] > result.history[0]["validation"]
    assert objective.centre.abs().sum() > 0


# The order of things


def test_every_row_once_an_epoch_and_no_batch_of_one_row():
    sizes, seen = [], []

    class Look(NegativeLogLikelihood):
        def forward(self, batch):
            if self.training:
                sizes.append(len(batch[0]))
                seen.extend(batch[0][:, 0].tolist())
            return super().forward(batch)

    x = np.stack([np.arange(65), np.zeros(65)], 1) / 65
    flow = small()
    fit(flow, x, validation=None, objective=Look(flow), epochs=2, batch_size=16, progress=False)
    assert sizes == [16, 16, 16, 17] * 2
    assert sorted(seen[:65]) == sorted(seen[65:])
    assert len(set(seen[:65])) == 65
    assert seen[:65] != seen[65:]


@pytest.mark.parametrize(
    ("rows", "size", "count"), [(10, 5, 2), (11, 5, 2), (12, 5, 3), (3, 5, 1), (6, 5, 1), (3, 1, 3)]
)
def test_number_of_batches(rows, size, count):
    assert batches_in(rows, size) == count


def test_defaults_follow_the_number_of_rows():
    few, many = TrainConfig().resolve(200), TrainConfig().resolve(1_000_000)
    assert (few.batch_size, many.batch_size) == (64, 1024)
    assert few.epochs > 20 * many.epochs
    assert few.patience > many.patience >= 5
    assert TrainConfig(epochs=7, patience=0).resolve(200).epochs == 7
    assert TrainConfig(epochs=7, patience=0).resolve(200).patience == 0


def test_schedules():
    cosine = TrainConfig(schedule="cosine", warmup=4)
    assert schedule_factor(cosine, 0, 100, 1.0) == pytest.approx(0.25)
    assert schedule_factor(cosine, 50, 100, 1.0) == pytest.approx(0.5)
    assert schedule_factor(cosine, 100, 100, 1.0) == pytest.approx(0.0)
    assert schedule_factor(TrainConfig(schedule="linear", warmup=0), 25, 100, 1.0) == pytest.approx(0.75)
    assert schedule_factor(TrainConfig(schedule="constant", warmup=0), 9, 10, 0.1) == 1.0
    assert schedule_factor(TrainConfig(schedule="plateau", warmup=0), 9, 10, 0.1) == 0.1


def test_plateau_lowers_the_rate_when_the_score_stalls():
    options = {"plateau_patience": 2, "plateau_factor": 0.5, "warmup": 0, "patience": 0, "weight_decay": 0, "ema": 0}
    result = fit(small(), table(), epochs=6, lr=1e-30, progress=False, **options)
    assert [r["lr"] / 1e-30 for r in result.history] == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25])


def test_limits_of_steps_and_time():
    result = fit(small(), table(), batch_size=32, max_steps=9, progress=False)
    assert (result.stopped, result.steps, result.epochs) == ("limit", 9, 2)
    result = fit(small(), table(), max_seconds=0.0, progress=False)
    assert (result.stopped, result.steps, result.epochs) == ("limit", 0, 0)


def test_a_callback_stops_and_sees_the_records():
    seen = []
    result = fit(small(), table(), callbacks=[seen.append, lambda r: r["epoch"] == 2], **QUICK)
    assert (result.stopped, result.epochs) == ("callback", 2)
    assert seen == result.history


def test_starting_values_are_measured_once_and_only_when_wanted(tmp_path):
    x = table() * 3 + 5
    for wanted in (True, False):
        flow = Flow(Chain(ActNorm(Real((2,)))), Normal(Real((2,))))
        fit(flow, x, validation=None, initialise=wanted, max_steps=1, lr=1e-30, progress=False)
        assert torch.allclose(
            flow.chain.layers[0].loc, torch.tensor(x.mean(0) * wanted, dtype=torch.float32), atol=1e-4
        )


def test_reproducible_by_seed_and_the_callers_random_state_is_untouched():
    runs = []
    for noise, seed in ((1, 3), (2, 3), (1, 4)):
        model = noisy_model()
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        fit(model, counts(), seed=seed, **QUICK)
        assert torch.equal(before, torch.get_rng_state())
        runs.append(model)
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_noisy_validation_scores_of_the_same_weights_are_equal():
    options = {"lr": 1e-30, "weight_decay": 0, "ema": 0}
    torch.manual_seed(0)
    model = Flow(Chain(Dequantise(Integers((2,), 0, 7)), Logit(Box((2,))), ActNorm(Real((2,)))), Normal(Real((2,))))
    result = fit(model, counts(), **options, **QUICK)
    assert len({r["validation"] for r in result.history}) == 1


def test_evaluate():
    flow = small(dropout=0.5)
    flow.train()
    flow.chain.layers[1].eval()
    scores = evaluate(flow, table(), batch_size=33)
    assert scores.shape == (ROWS,)
    assert not scores.requires_grad
    assert flow.training
    assert not flow.chain.layers[1].training
    flow.eval()
    assert torch.allclose(scores, flow.log_prob(torch.tensor(table(), dtype=torch.float32)))
    assert evaluate(flow, np.zeros((0, 2))).shape == (0,)
    inside = evaluate(Uniform(Box((1,))), [[0.5], [2.0]])
    assert inside.tolist() == [0.0, -math.inf]


@pytest.mark.parametrize("kind", ["readonly", "reversed", "swapped", "integers", "list", "float64 model"])
def test_arrays_of_many_kinds(kind):
    x = table()
    expected = evaluate(small(), x)
    model = small()
    if kind == "readonly":
        x.setflags(write=False)
    elif kind == "reversed":
        x, expected = x[::-1], expected.flip(0)
    elif kind == "swapped":
        x = x.astype(">f8")
    elif kind == "integers":
        x = x.round().astype(np.int32)
        expected = evaluate(small(), x.astype(float))
    elif kind == "list":
        x = x.tolist()
    else:
        model = model.double()
        assert evaluate(model, x).dtype == torch.float64
    assert torch.allclose(evaluate(model, x).float(), expected, atol=1e-5)


# Speed


@pytest.mark.parametrize("block", [1, 500, 2**20])
@pytest.mark.parametrize(("rows", "size"), [(65, 16), (70, 16), (64, 16), (5, 16)])
def test_batches_are_the_epochs_rows_in_order(monkeypatch, block, rows, size):
    monkeypatch.setattr(batches_module, "BLOCK_NUMBERS", block)
    x, c = torch.arange(3.0 * rows).reshape(rows, 3), torch.arange(float(rows))[:, None]
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(0))
    found = list(batches(Rows(x, c), order, size))
    count = batches_in(rows, size)
    assert [b.number for b in found] == list(range(1, count + 1))
    assert [len(b) for b in found[:-1]] == [size] * (count - 1)
    assert torch.equal(torch.cat([b.index for b in found]), order)
    for batch in found:
        assert torch.equal(batch.rows[0], x[batch.index])
        assert torch.equal(batch.rows[1], c[batch.index])
    for done in range(count):
        rest = list(batches(Rows(x, c), order, size, done))
        assert [b.number for b in rest] == list(range(done + 1, count + 1))
        for a, b in zip(rest, found[done:], strict=True):
            assert torch.equal(a.rows[0], b.rows[0])
            # A matrix product may depend on where in memory it begins.
            assert a.rows[0].storage_offset() == b.rows[0].storage_offset()


def test_rows_are_gathered_once_for_many_batches(monkeypatch):
    taken = []
    original = Rows.take
    monkeypatch.setattr(Rows, "take", lambda self, index: taken.append(len(index)) or original(self, index))
    fit(small(), table(), validation=None, initialise=False, epochs=2, batch_size=20, progress=False)
    assert taken == [ROWS, ROWS]


def test_threads_are_chosen_by_the_work_of_a_step():
    torch.set_num_threads(3)
    few, many = [torch.zeros(64, 64), torch.zeros(10**9, device="meta")], [torch.zeros(512, 512)]
    kernel = [torch.zeros(64, 64, 3, 3)]
    rows = torch.zeros(512, 1)
    assert threads_for(TrainConfig(), few, rows) == 1
    assert threads_for(TrainConfig(), many, rows) == 3
    assert threads_for(TrainConfig(), kernel, torch.zeros(64, 64)) == 1
    assert threads_for(TrainConfig(), kernel, torch.zeros(64, 64, 32, 32)) == 3
    assert threads_for(TrainConfig(threads=2), few, rows) == 2
    assert threads_for(TrainConfig(threads=8), few, rows) == 3
    assert threads_for(TrainConfig(), few, torch.zeros(512, 1, device="meta")) == 3
    torch.set_num_threads(1)
    assert threads_for(TrainConfig(), many, rows) == 1


@pytest.mark.parametrize(("wanted", "within"), [(None, 1), (2, 2), (9, 3)])
def test_threads_are_as_before_after_the_run(wanted, within):
    torch.set_num_threads(3)
    seen = []
    result = fit(
        small(), table(), threads=wanted, callbacks=[lambda record: seen.append(torch.get_num_threads())], **QUICK
    )
    assert (seen, torch.get_num_threads(), result.config["threads"]) == ([within] * 3, 3, within)

    def broken(record):
        raise RuntimeError("of the caller's own")

    with pytest.raises(RuntimeError, match="of the caller's own"):
        fit(small(), table(), threads=wanted, callbacks=[broken], **QUICK)
    assert torch.get_num_threads() == 3


def test_the_rate_is_set_when_it_changes(monkeypatch):
    rates = []
    original = step_module.set_rates
    monkeypatch.setattr(step_module, "set_rates", lambda optimizer, new: rates.extend(new) or original(optimizer, new))
    result = fit(small(), table(), warmup=4, schedule="constant", ema=0, **QUICK)
    assert result.steps == 18
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert [r["lr"] for r in result.history] == [1e-3] * 3


class Reads(TorchDispatchMode):
    """Counts how often a tensor's value is asked for, which on a GPU stops everything."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("options", [{}, {"clip": 0.0, "ema": 0}, {"autocast": "fp16"}, {"batch_norm": True}])
def test_no_step_reads_a_number_back(monkeypatch, options):
    monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device: 50)
    counts = []
    for size in (100, 10):
        flow = small(batch_norm=options.get("batch_norm", False))
        chosen = {name: value for name, value in options.items() if name != "batch_norm"}
        with Reads() as reads:
            result = fit(flow, table(), validation=None, epochs=2, batch_size=size, progress=False, **chosen)
        assert result.steps == 2 * ROWS // size
        counts.append(reads.count)
    assert counts[0] == counts[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("autocast", ["off", "bf16", "fp16"])
def test_no_step_waits_for_the_gpu(autocast):
    model = small().cuda()
    config = TrainConfig(autocast=autocast, batch_size=20, initialise=False)
    split = prepare(model, table(), None, None, 0)
    trainer = trainer_module.Trainer(model, NegativeLogLikelihood(model), split, config, None)
    trainer.start()

    def epoch():
        for batch in batches(split.train, split.train_index, 20):
            trainer._step(batch)

    with trainer.state.stepper.running():
        epoch()
        torch.cuda.set_sync_debug_mode("error")
        try:
            epoch()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert trainer.watch.first_bad(at_once=True) is None


def test_fixed_buffers_are_not_averaged():
    model = pf.build("maf", features=3, layers=1, hidden=(8,), batch_norm=True)
    average = MovingAverage(nn.ModuleDict({"model": model, "objective": NegativeLogLikelihood(model)}), 0.9)
    assert not [name for name in average.tracked if name.endswith("mask")]
    saved = {f"model.{name}" for name, t in model.state_dict().items() if t.is_floating_point()}
    assert average.tracked.keys() == saved


# Files and progress


def test_metrics_are_one_line_an_epoch(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("of an earlier run\n")
    lines = []
    result = fit(small(), table(), metrics=path, callbacks=[lambda r: lines.append(path.read_text())], **QUICK)
    assert [text.count("\n") for text in lines] == [1, 2, 3]
    assert [json.loads(line) for line in path.read_text().splitlines()] == result.history


def test_progress_goes_to_stderr(capsys, monkeypatch):
    fit(small(), table(), epochs=3, batch_size=32)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 4
    assert shown.err.startswith("minimising the negative log-likelihood, nats per row")
    assert "epoch 3/3: train" in shown.err
    fit(small(), table(), **QUICK)
    assert capsys.readouterr().err == ""
    with make_progress(1000, 0, shown=True) as lines:
        for epoch in range(1, 1001):
            lines.epoch({"epoch": epoch, "train": 0.0, "validation": None, "lr": 1e-3}, None)
    assert capsys.readouterr().err.count("\n") <= 22
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    fit(small(), table(), epochs=3, batch_size=32)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["metrics", "checkpoint"])
def test_a_path_that_cannot_be_written_is_refused_before_training(tmp_path, what):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "absent" / "x", tmp_path / "file" / "x", tmp_path):
        with pytest.raises(FileError) as error:
            fit(small(), table(), callbacks=[lambda r: pytest.fail("trained")], **{what: path}, **QUICK)
        assert f"{path} cannot be written" in sentence(error)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("when", ["writing", "replacing"])
def test_a_full_disk_costs_neither_the_run_nor_the_last_checkpoint(tmp_path, monkeypatch, caplog, when):
    path = tmp_path / "c"
    first = []

    def fill(record):
        first.append(path.read_bytes())

        def full(source, target):
            if when == "writing":
                target.write(b"half of it")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(*((checkpoint_module.torch, "save") if when == "writing" else (os, "replace")), full)

    result = fit(small(), table(), checkpoint=path, callbacks=[fill], checkpoint_every=1, **QUICK)
    assert result.stopped == "converged"
    assert path.read_bytes() == first[0]
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
    assert "no space left on device; the previous checkpoint is still there" in caplog.text


# Cut off and resumed


class Killed(BaseException):
    pass


class Dying(NegativeLogLikelihood):
    """Dies in the middle of a training step, after the model has moved its running averages and used random numbers."""

    def __init__(self, model, at):
        super().__init__(model)
        self.at, self.seen = at, 0

    def forward(self, batch):
        loss = super().forward(batch)
        self.seen += self.training
        if self.training and self.seen == self.at:
            raise Killed
        return loss


@pytest.mark.parametrize(
    "options", [{"ema": 0.0, "schedule": "cosine"}, {"ema": 0.9, "plateau_patience": 1, "lr": 0.1}]
)
@pytest.mark.parametrize("at", [1, 2, 6, 7, 13])
def test_resumed_runs_end_with_the_same_weights(tmp_path, options, at):
    options = {**options, "checkpoint_seconds": 0.0, **QUICK}
    whole = noisy_model()
    expected = fit(whole, counts(), **options)
    path, metrics = tmp_path / "c", tmp_path / "m"
    cut = noisy_model()
    with pytest.raises(Killed):
        fit(cut, counts(), objective=Dying(cut, at), checkpoint=path, metrics=metrics, **options)
    torch.manual_seed(99)
    resumed = noisy_model(seed=5)
    result = fit(resumed, counts(), resume=path, metrics=metrics, **options)
    assert same(whole, resumed)
    assert without_times(result) == without_times(expected)
    assert (result.best_epoch, result.steps) == (expected.best_epoch, expected.steps)
    assert [json.loads(line) for line in metrics.read_text().splitlines()] == result.history


def test_metrics_after_the_checkpoint_are_dropped_on_resume(tmp_path):
    path, metrics = tmp_path / "c", tmp_path / "m"
    options = {"checkpoint_every": 2, "checkpoint_seconds": None, **QUICK, "epochs": 6}
    model = small()
    with pytest.raises(Killed):
        fit(model, table(), objective=Dying(model, 6 * 5 + 2), checkpoint=path, metrics=metrics, **options)
    assert len(metrics.read_text().splitlines()) == 5
    assert len(load_checkpoint(path)["position"]["history"]) == 4
    result = fit(small(), table(), resume=path, metrics=metrics, **options)
    assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]
    assert result.epochs == 6


def test_a_finished_run_goes_on_when_it_may_last_longer(tmp_path):
    path = tmp_path / "c"
    options = {"schedule": "constant", **QUICK}
    longer = noisy_model()
    fit(longer, counts(), **{**options, "epochs": 5})
    first = noisy_model()
    ended = fit(first, counts(), checkpoint=path, **options)
    again = noisy_model(seed=1)
    assert fit(again, counts(), resume=path, **options).history == ended.history
    assert same(first, again)
    more = noisy_model(seed=1)
    fit(more, counts(), resume=path, **{**options, "epochs": 5})
    assert same(more, longer)


def test_a_run_cut_by_a_limit_within_an_epoch_goes_on(tmp_path):
    path = tmp_path / "c"
    whole = noisy_model()
    expected = fit(whole, counts(), **QUICK)
    cut = noisy_model()
    part = fit(cut, counts(), checkpoint=path, max_steps=8, **QUICK)
    assert (part.stopped, part.epochs) == ("limit", 2)
    again = noisy_model(seed=1)
    assert without_times(fit(again, counts(), resume=path, max_steps=8, **QUICK)) == without_times(part)
    assert same(cut, again)
    resumed = noisy_model(seed=1)
    assert without_times(fit(resumed, counts(), resume=path, **QUICK)) == without_times(expected)
    assert same(whole, resumed)


CHILD = """
import sys, time, torch
sys.path.insert(0, {tests!r})
torch.set_num_threads(1)
import test_training as t

class Slow(t.NegativeLogLikelihood):
    def forward(self, batch):
        time.sleep(0.02)
        return super().forward(batch)

model = t.noisy_model()
t.fit(model, t.counts(), objective=Slow(model), checkpoint={path!r}, metrics={metrics!r}, **t.KILLED)
print("finished")
"""
KILLED = {"epochs": 12, "batch_size": 16, "schedule": "cosine", "checkpoint_every": 3, "checkpoint_seconds": 0.05}
KILLED |= {"progress": False, "patience": 0}


def test_a_killed_process_is_resumed_exactly(tmp_path):
    path, metrics = tmp_path / "c", tmp_path / "m"
    code = CHILD.format(tests=os.path.dirname(__file__), path=str(path), metrics=str(metrics))
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        deadline = time.monotonic() + 60
        while not metrics.exists() or metrics.read_text().count("\n") < 3:
            assert child.poll() is None, "the child ended by itself"
            assert time.monotonic() < deadline, "the child did not begin"
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.3))
    finally:
        child.send_signal(signal.SIGKILL)
        output, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert output == b""
    position = load_checkpoint(path)["position"]
    assert 0 < position["step"] < 12 * 12
    whole, resumed = noisy_model(), noisy_model(seed=7)
    expected = fit(whole, counts(), **KILLED)
    result = fit(resumed, counts(), resume=path, metrics=metrics, **KILLED)
    assert same(whole, resumed)
    assert without_times(result) == without_times(expected)
    assert [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()] == list(range(1, 13))


def test_ctrl_c_finishes_the_step_and_says_where_it_saved(tmp_path, caplog):
    path = tmp_path / "c"

    class Pressed(NegativeLogLikelihood):
        calls = 0

        def forward(self, batch):
            self.calls += self.training
            if self.calls == 9 and self.training:
                os.kill(os.getpid(), signal.SIGINT)
            return super().forward(batch)

    whole = noisy_model()
    expected = fit(whole, counts(), **QUICK)
    cut = noisy_model()
    result = fit(cut, counts(), objective=Pressed(cut), checkpoint=path, **QUICK)
    assert (result.stopped, result.steps, result.epochs, result.best_epoch) == ("interrupted", 9, 1, 1)
    assert result.message == (
        f"training was interrupted in epoch 2, after 3 of 6 steps; its state was saved, continue with resume={str(path)!r}; "
        "the best weights of epoch 1 were kept"
    )
    assert result.message in caplog.text
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not cut.training
    resumed = noisy_model(seed=2)
    assert without_times(fit(resumed, counts(), resume=path, **QUICK)) == without_times(expected)
    assert same(whole, resumed)


def test_keyboard_interrupt_in_a_callback_or_a_step(tmp_path):
    path = tmp_path / "c"

    def press(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    whole, cut, resumed = noisy_model(), noisy_model(), noisy_model()
    fit(whole, counts(), **QUICK)
    result = fit(cut, counts(), checkpoint=path, callbacks=[press], **QUICK)
    assert (result.stopped, result.epochs) == ("interrupted", 2)
    fit(resumed, counts(), resume=path, **QUICK)
    assert same(whole, resumed)

    class Pressed(NegativeLogLikelihood):
        def forward(self, batch):
            raise KeyboardInterrupt

    path.unlink()
    cut = noisy_model()
    result = fit(cut, counts(), objective=Pressed(cut), checkpoint=path, **QUICK)
    assert result.stopped == "interrupted"
    assert f"the last checkpoint is in {path}" in result.message
    assert load_checkpoint(path)["position"]["step"] == 0


def test_other_errors_pass_through_and_leave_evaluation_mode():
    flow = small()

    def broken(record):
        raise RuntimeError("of the caller's own")

    with pytest.raises(RuntimeError, match="of the caller's own"):
        fit(flow, table(), callbacks=[broken], **QUICK)
    assert not flow.training
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c"
    fit(small(), table(), checkpoint=path, **QUICK)
    return path


def test_a_checkpoint_of_another_run_is_refused(saved):
    cases = [
        (lambda: fit(small(batch_norm=True), table(), resume=saved, **QUICK), "of another model: chain.layers"),
        (lambda: fit(small().double(), table(), resume=saved, **QUICK), "of another model"),
        (lambda: fit(small(), table() + 1e-3, resume=saved, **QUICK), "of other data or another split"),
        (lambda: fit(small(), table(), validation=0.2, resume=saved, **QUICK), "of other data or another split"),
        (lambda: fit(small(), table(), lr=0.1, resume=saved, **QUICK), "lr=0.001, got lr=0.1"),
        (lambda: fit(small(), table(), ema=0.5, resume=saved, **QUICK), "ema=0.995, got ema=0.5"),
    ]
    content = saved.read_bytes()
    for run, expected in cases:
        with pytest.raises(TrainingError) as error:
            run()
        assert expected in sentence(error)
    assert saved.read_bytes() == content


def test_a_file_that_is_no_checkpoint_is_refused(saved, tmp_path):
    content = saved.read_bytes()
    (tmp_path / "truncated").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("epoch,loss\n1,2\n")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"code": os.getcwd}))
    torch.save({"weights": torch.zeros(3)}, tmp_path / "foreign")
    newer = load_checkpoint(saved) | {"version": 99}
    torch.save(newer, tmp_path / "newer")
    part = load_checkpoint(saved)
    del part["random"]
    torch.save(part, tmp_path / "part")
    for name in ("truncated", "empty", "text", "pickle", "foreign", "newer", "part", "absent"):
        with pytest.raises(FileError) as error:
            fit(small(), table(), resume=tmp_path / name, **QUICK)
        assert "training checkpoint" in sentence(error)
        assert str(tmp_path / name) in sentence(error)


# Numbers that are not finite


class Breaks(Transform):
    """The identity until `on`; then NaN for rows whose first coordinate is above a level."""

    def __init__(self, *, where="forward"):
        super().__init__()
        self.x_space = self.z_space = Real((2,))
        self.on, self.level, self.where = False, 1.0, where
        self.inner = nn.Linear(2, 2)

    def forward(self, x, context=None):
        if not self.on:
            return x, x.new_zeros(len(x)) + 0 * self.inner.weight.sum()
        if self.where == "inner":
            z = self.inner(x * 1e20)
            return z, x[:, 0] * 0
        if self.where == "gradient":
            zero = 0 * self.inner.weight.sum()
            return x + zero.square().sqrt(), x.new_zeros(len(x))
        return torch.where(x[:, :1] > self.level, math.nan, x), x.new_zeros(len(x)) + 0 * self.inner.weight.sum()

    def inverse(self, z, context=None):
        return z, z.new_zeros(len(z))


def breaking(where="forward"):
    torch.manual_seed(0)
    space = Real((2,))
    coupling = Coupling(Affine(), space, [True, False])
    return Flow(Chain(Elementwise(Affine(), space), Breaks(where=where), coupling), Normal(space))


@pytest.fixture(params=["every step", "deferred"])
def deferred(request, monkeypatch):
    if request.param == "deferred":
        monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device: 50)


@pytest.mark.usefixtures("deferred")
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_non_finite_losses_name_the_rows_and_the_layer(caplog, ema):
    x = table() * 0.2
    marked = split_rows(ROWS, 0.1, seed=0)[0][[3, 70]].tolist()
    x[marked, 0] = 50.0
    model = breaking()
    kept = []

    def after(record):
        kept.append(snapshot(model))
        model.chain.layers[1].on = record["epoch"] == 2
        model.chain.layers[1].level = 20.0

    result = fit(
        model, x, epochs=9, batch_size=32, initialise=False, ema=ema, lr=1e-2, callbacks=[after], progress=False
    )
    assert result.stopped == "nonfinite"
    assert result.epochs == result.best_epoch == 2
    assert result.message in caplog.text
    start, rest = result.message.split(" (rows ")
    assert start.startswith("the loss became non-finite at epoch 3, step ")
    rows, rest = rest.split(" of the training data); ")
    assert set(map(int, rows.split(", "))) <= set(marked)
    expected = "the first non-finite output came from chain.layers.1 (Breaks); the best weights of epoch 2 were kept"
    assert rest == expected
    assert result.steps == 12 + int(start.rsplit(" ", 1)[1]) - 1
    if not ema:
        assert all(torch.equal(kept[1][k], v) for k, v in snapshot(model).items())
    assert all(bool(v.isfinite().all()) for v in snapshot(model).values())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.usefixtures("deferred")
def test_a_part_of_a_layer_is_named_with_its_layer():
    model = breaking("inner")
    model.chain.layers[1].on, model.chain.layers[1].level = True, -math.inf
    nn.init.constant_(model.chain.layers[1].inner.weight, 1e30)
    before = snapshot(model)
    with pytest.raises(TrainingError) as error:
        fit(model, table(), initialise=False, **QUICK)
    text = sentence(error)
    assert "at epoch 1, step 1 (rows " in text
    assert "came from chain.layers.1 (Breaks), in its part inner (Linear)" in text
    assert "there was no good epoch before it" in text
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())


@pytest.mark.usefixtures("deferred")
@pytest.mark.parametrize("clip", [5.0, 0.0])
def test_non_finite_gradients_are_never_applied(clip):
    model = breaking("gradient")
    model.chain.layers[1].on = True
    before = snapshot(model)
    with pytest.raises(TrainingError) as error:
        fit(model, table(), initialise=False, clip=clip, **QUICK)
    assert "the gradient became non-finite at epoch 1, step 1" in sentence(error)
    assert "the gradient of chain.layers.1.inner.weight was not" in sentence(error)
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())


def test_weights_are_untouched_by_a_bad_step_and_those_after_it(monkeypatch):
    """Restoring could hide a poisoned step: look at the weights the moment the step is found out."""
    x = table() * 0.2
    train = split_rows(ROWS, 0.1, seed=0)[0]
    x[train[100], 0] = 50.0
    found, messages = [], []
    original = watch_module.diagnose

    def look(whole, *rest):
        found.append(snapshot(whole))
        return original(whole, *rest)

    monkeypatch.setattr(watch_module, "diagnose", look)
    for every in (1, 50):
        monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device, every=every: every)
        model = breaking()
        model.chain.layers[1].on, model.chain.layers[1].level = True, 20.0
        before = snapshot(model)
        with pytest.raises(TrainingError) as error:
            fit(model, x, initialise=False, seed=1, validation=0.1, epochs=3, batch_size=16, lr=1e-2, progress=False)
        messages.append(sentence(error))
        assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())
    assert messages[0] == messages[1]
    assert 1 < int(messages[0].split("step ")[1].split()[0]) < 12
    assert all(torch.equal(found[0][k], found[1][k]) for k in found[0])
    assert not all(torch.equal(before[k.removeprefix("model.")], v) for k, v in found[0].items())


@pytest.mark.usefixtures("deferred")
def test_failures_that_depend_on_chance_are_found_again():
    class Unlucky(Breaks):
        def forward(self, x, context=None):
            z, dlogp = super().forward(x)
            return (z * math.nan if self.training and torch.rand(()) < 0.05 else z), dlogp

    space = Real((2,))
    for seed in (1, 2):
        model = Flow(Chain(Elementwise(Affine(), space), Unlucky()), Normal(space))
        with pytest.raises(TrainingError) as error:
            fit(model, table(), epochs=1, batch_size=2, seed=seed, initialise=False, progress=False)
        assert "came from chain.layers.1 (Unlucky)" in sentence(error)


def test_a_validation_score_that_is_never_finite():
    x = table()
    valid = split_rows(ROWS, 0.1, seed=0)[1][5].item()
    x[valid] = 1e25
    with pytest.raises(TrainingError) as error:
        fit(small(), x, initialise=False, **QUICK)
    assert f"the validation score was not finite in any epoch (row {valid} of the data)" in sentence(error)


# Bad input


def spoilt(value, dtype=float):
    x = table().astype(dtype)
    x[17, 1] = value
    return x


CONDITIONAL = {"context": 1}
BAD = {
    "nan": (lambda: fit(small(), spoilt(np.nan)), DataError, "got nan in row 17, column 1 of the data"),
    "infinity": (lambda: fit(small(), spoilt(np.inf)), DataError, "got inf in row 17, column 1 of the data"),
    "too large": (lambda: fit(small(), spoilt(1e300)), DataError, "fit torch.float32, got 1e+300 in row 17, column 1"),
    "nan context": (
        lambda: fit(small(**CONDITIONAL), table(), context=spoilt(np.nan)[:, 1:]),
        DataError,
        "got nan in row 17, column 0 of the context of the data",
    ),
    "nan validation": (
        lambda: fit(small(), table(), validation=spoilt(np.nan)),
        DataError,
        "column 1 of the validation",
    ),
    "columns": (lambda: fit(small(), table()[:, :1]), DataError, "shape (rows, 2), got (200, 1)"),
    "flat": (lambda: fit(small(), table()[:, 0]), DataError, "shape (rows, 2), got (200,)"),
    "text": (lambda: fit(small(), np.array([["a", "b"]])), DataError, "array of numbers, got ndarray of <U1"),
    "ragged": (lambda: fit(small(), [[1.0], [1.0, 2.0]]), DataError, "array of numbers, got list"),
    "scalar": (lambda: fit(small(), 3.0), DataError, "one row for each event"),
    "one row": (lambda: fit(small(), table(1)), DataError, "at least 2 rows to train on"),
    "no rows": (lambda: fit(small(), table(0)), DataError, "at least 2 rows to train on"),
    "all validation": (lambda: fit(small(), table(), validation=ROWS), DataError, "at least 2 rows to train on"),
    "fraction": (lambda: fit(small(), table(), validation=1.5), DataError, "expected validation to be a fraction"),
    "negative": (lambda: fit(small(), table(), validation=-0.5), DataError, "expected validation to be a fraction"),
    "triple": (lambda: fit(small(), table(), validation=(1, 2, 3)), DataError, "a pair (rows, context)"),
    "no validation rows": (
        lambda: fit(small(), table(), validation=table(0)),
        DataError,
        "at least one validation row",
    ),
    "no context": (lambda: fit(small(**CONDITIONAL), table()), ContextError, "expected a context for the data"),
    "context": (lambda: fit(small(), table(), context=table()), ContextError, "expected no context for the data"),
    "no validation context": (
        lambda: fit(small(**CONDITIONAL), table(), context=table()[:, :1], validation=table()),
        ContextError,
        "expected a context for the validation data",
    ),
    "context rows": (
        lambda: fit(small(**CONDITIONAL), table(), context=table(5)[:, :1]),
        DataError,
        "got 5 contexts and 200 rows",
    ),
    "outside": (
        lambda: fit(Flow(Chain(Logit(Box((2,)))), Normal(Real((2,)))), spoilt(7.0).clip(0.1, 0.9) + (spoilt(7.0) == 7)),
        DataError,
        "got row 17 of the data outside: (",
    ),
    "half labels": (
        lambda: fit(AutoregressiveCategorical((3, 3)), np.zeros((9, 2)) + 0.5),
        DataError,
        "expected whole numbers",
    ),
    "no parameters": (lambda: fit(Normal(Real((2,))), table()), TrainingError, "with parameters to train"),
    "unknown option": (lambda: fit(small(), table(), epoch=3), SpecError, "no option 'epoch'; did you mean 'epochs'?"),
    "epochs": (lambda: fit(small(), table(), epochs=0), SpecError, "epochs to be a whole number >= 1, got 0"),
    "batch": (lambda: fit(small(), table(), batch_size=2.5), SpecError, "batch_size to be a whole number"),
    "rate": (lambda: fit(small(), table(), lr=-1.0), SpecError, "lr to be a finite number >= 0"),
    "ema": (lambda: fit(small(), table(), ema=1.0), SpecError, "expected ema in [0, 1), got 1.0"),
    "schedule": (
        lambda: fit(small(), table(), schedule="steps"),
        SpecError,
        "plateau, cosine, linear, constant, got 'steps'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_sentence(name):
    run, kind, expected = BAD[name]
    with pytest.raises(kind) as error:
        run()
    assert expected in sentence(error)


def test_a_loss_that_is_no_scalar_is_refused():
    class Rows(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, batch):
            return self.model(*batch)

    flow = small()
    with pytest.raises(TrainingError) as error:
        fit(flow, table(), objective=Rows(flow), **QUICK)
    assert "a scalar loss, got a tensor of shape (32,)" in sentence(error)
    with torch.no_grad(), pytest.raises(TrainingError) as error:
        fit(flow, table(), **QUICK)
    assert "a loss that depends on the parameters" in sentence(error)


def test_missing_values_pass_where_the_space_has_them():
    class Holes(Real):
        allows_missing = True

    class Filled(Flow):
        def _log_prob(self, x, context):
            return super()._log_prob(x.nan_to_num(), context)

    inner = small()
    space = Holes((2,))
    model = Filled(inner.chain, inner.base)
    model.space = space
    result = fit(model, spoilt(np.nan), initialise=False, **QUICK)
    assert isinstance(result, FitResult)
    with pytest.raises(DataError):
        fit(model, spoilt(np.inf), **QUICK)


def test_a_layer_that_only_passes_missing_values_on_is_not_blamed():
    class Holes(Real):
        allows_missing = True

    class Fill(Identity):
        def forward(self, x, context=None):
            return super().forward(x.nan_to_num())

    space = Holes((2,))
    breaks = Breaks()
    breaks.x_space, breaks.z_space, breaks.on = space, space, True
    base = Normal(space)
    model = Flow(Chain(Identity(space), Fill(space), breaks), base)
    with pytest.raises(TrainingError) as error:
        fit(model, np.where([True, False], table(), np.nan), initialise=False, **QUICK)
    assert "came from chain.layers.2 (Breaks)" in sentence(error)


def test_results_name_what_was_minimised():
    result = fit(small(), table(), **QUICK)
    assert result.objective == "negative log-likelihood, nats per row"
    assert result.to_dict()["objective"] == result.objective
    lines = repr(result).splitlines()
    assert lines[0] == "FitResult"
    assert lines[1].split(maxsplit=1) == ["minimised", result.objective]
    assert any(line.split()[:2] == ["best", "epoch"] for line in lines)
    assert len(lines) < 10


def test_the_time_left_follows_patience_and_budget():
    left = TimeLeft(1000, patience=10)
    assert left.text({"epoch": 1, "seconds": 5.0}, 1.0) == ""
    assert left.text({"epoch": 2, "seconds": 7.0}, 2.0) == "about 20 s left if the score does not improve"
    assert left.text({"epoch": 3, "seconds": 9.0}, 2.0) == "about 18 s left if the score does not improve"
    assert left.text({"epoch": 4, "seconds": 11.0}, 3.0) == "about 20 s left if the score does not improve"
    budget = TimeLeft(1000, patience=10, budget=15.0)
    budget.text({"epoch": 1, "seconds": 5.0}, 1.0)
    assert budget.text({"epoch": 2, "seconds": 7.0}, 1.0).startswith("about 8 s left")
    assert TimeLeft(3).text({"epoch": 1}, None) == ""
    short = TimeLeft(3)
    short.text({"epoch": 1, "seconds": 1.0}, None)
    assert short.text({"epoch": 2, "seconds": 2.0}, None) == "about 1 s left"
