"""Data in batches: DataLoaders and other iterables, resumed within an epoch, and what cannot be used."""

import numpy as np
import pytest
import torch
from test_training import QUICK, ROWS, Dying, Killed, breaking, same, sentence, small, table, without_times
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from pushforward.core import Box, Chain, Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import ContextError, DataError, SpecError, TrainingError
from pushforward.training import batches as batches_module
from pushforward.training import evaluate, fit
from pushforward.training.checkpoint import load_checkpoint
from pushforward.training.data_loader import LoaderBatches, is_loader
from pushforward.transforms import Logit

OPTIONS = {"epochs": 3, "progress": False, "lr": 1e-2}


def rows(count=192, seed=0):
    return torch.tensor(table(count, seed), dtype=torch.float32)


def loader(count=192, **options):
    return DataLoader(TensorDataset(rows(count)), **{"batch_size": 32, **options})


class Slices:
    """Batches of a tensor, without a length."""

    def __init__(self, x, size=32):
        self.x, self.size, self.passes = x, size, 0

    def __iter__(self):
        self.passes += 1
        return iter(self.x.split(self.size))


def test_a_loader_without_shuffling_gives_the_weights_of_rows_in_that_order(monkeypatch):
    monkeypatch.setattr(batches_module.RowBatches, "order", lambda self, number: self.index)
    models, results = [], []
    for data, own in ((rows(), {"batch_size": 32}), (loader(), {}), (Slices(rows()), {"warmup": 6})):
        models.append(small())
        results.append(fit(models[-1], data, validation=rows(50, 1), **own, **OPTIONS))
    for model, result in zip(models[1:], results[1:], strict=True):
        torch.testing.assert_close(model.state_dict(), models[0].state_dict(), rtol=1e-6, atol=1e-6)
        assert [r["train"] for r in result.history] == pytest.approx([r["train"] for r in results[0].history], abs=1e-6)
        assert result.best_validation == pytest.approx(results[0].best_validation, abs=1e-6)
        assert (result.train_rows, result.validation_rows, result.steps) == (192, 50, 18)


def test_validation_in_batches():
    model = small()
    result = fit(model, loader(), validation=loader(70), **OPTIONS)
    assert result.validation_rows == 70
    assert evaluate(model, rows(70)).mean().item() == pytest.approx(result.best_validation, abs=1e-5)


def test_contexts_are_part_of_the_batches():
    x = rows()
    model = small(context=1)
    data = DataLoader(TensorDataset(x, x[:, :1]), batch_size=32)
    result = fit(model, data, validation=(x[:40], x[:40, :1]), **OPTIONS)
    assert evaluate(model, x[:40], x[:40, :1]).mean().item() == pytest.approx(result.best_validation, abs=1e-5)


def test_the_length_of_an_epoch_is_learned_in_the_first():
    known = fit(small(), loader(), validation=None, progress=False, max_steps=30, schedule="cosine")
    data = Slices(rows())
    learned = fit(small(), data, validation=None, progress=False, max_steps=30, schedule="cosine")
    for name in ("epochs", "patience", "plateau_patience", "warmup", "batch_size"):
        assert learned.config[name] == known.config[name]
    assert [r["steps"] for r in learned.history] == [r["steps"] for r in known.history] == [6, 12, 18, 24, 30]
    assert learned.train_rows == 192


class Noisy(IterableDataset):
    """Rows with noise from torch's random numbers, as an augmentation would add it."""

    def __iter__(self):
        for row in rows(100):
            yield row + 0.1 * torch.randn(2)


def shuffled():
    return loader(shuffle=True)


def shuffled_by_generator():
    return loader(shuffle=True, generator=torch.Generator().manual_seed(5))


def noisy():
    return DataLoader(Noisy(), batch_size=16)


@pytest.mark.parametrize("at", [3, 8, 13])
@pytest.mark.parametrize("make", [shuffled, shuffled_by_generator, noisy])
def test_a_run_resumed_within_an_epoch_ends_on_the_same_bits(tmp_path, make, at):
    options = {**OPTIONS, "validation": rows(40, 1), "schedule": "cosine", "checkpoint_seconds": 0.0}
    whole, cut, resumed = small(dropout=0.2), small(dropout=0.2), small(seed=5, dropout=0.2)
    expected = fit(whole, make(), **options)
    path = tmp_path / "c"
    with pytest.raises(Killed):
        fit(cut, make(), objective=Dying(cut, at), checkpoint=path, **options)
    assert load_checkpoint(path)["position"]["step"] == at - 1
    torch.manual_seed(99)
    result = fit(resumed, make(), resume=path, **options)
    assert same(whole, resumed)
    assert without_times(result) == without_times(expected)


def test_epochs_differ_and_the_callers_random_state_is_untouched():
    seen = LoaderBatches(small(), shuffled(), 0)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    epochs = [torch.cat([batch.rows[0] for batch in seen.epoch(number)]) for number in (1, 2, 1)]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0].sort(0).values, rows().sort(0).values)
    rest = torch.cat([batch.rows[0] for batch in seen.epoch(1, 4)])
    assert torch.equal(rest, epochs[0][4 * 32 :])


def test_a_step_that_is_not_finite_names_the_rows_of_the_batch():
    x = rows() * 0.2
    x[70, 0] = 50.0
    model = breaking()
    model.chain.layers[1].on, model.chain.layers[1].level = True, 20.0
    with pytest.raises(TrainingError) as error:
        fit(model, DataLoader(TensorDataset(x), batch_size=32), validation=None, initialise=False, **OPTIONS)
    assert "at epoch 1, step 3 (rows 6 of batch 3 of the training data); the first non-finite output" in sentence(error)


def test_what_is_an_iterable_of_batches():
    assert all(map(is_loader, [loader(), Slices(rows()), noisy(), (x for x in rows())]))
    for data in (
        rows(),
        rows().numpy(),
        rows().tolist(),
        (1.0, 2.0),
        {"x": 1},
        "text",
        range(3),
        3.0,
        memoryview(b"ab"),
    ):
        assert not is_loader(data)


def spoilt(value, *, at=70):
    x = rows()
    x[at, 1] = value
    return DataLoader(TensorDataset(x), batch_size=32)


class Once:
    """An iterable whose passes share one iterator."""

    def __init__(self):
        self.items = iter(rows().split(32))

    def __iter__(self):
        return self.items


def boxed():
    return Flow(Chain(Logit(Box((2,)))), Normal(Real((2,))))


class Empty(IterableDataset):
    def __iter__(self):
        return iter(())


def tensors(*parts):
    return DataLoader(TensorDataset(*parts), batch_size=32)


ONCE = "that is exhausted after one pass; pass a DataLoader"
BAD = {
    "generator": (lambda: (x for x in rows().split(32)), {}, DataError, f"the data (a generator) {ONCE}"),
    "one iterator": (Once, {}, DataError, f"the data (a Once) {ONCE}"),
    "no row": (lambda: Slices(rows()[:0], 1), {}, DataError, "at least one row in every batch, got none in batch 1"),
    "no batch": (
        lambda: DataLoader(Empty(), batch_size=4),
        {},
        DataError,
        "at least one batch in the data, got none",
    ),
    "nan": (lambda: spoilt(np.nan), {}, DataError, "got nan in row 6, column 1 of batch 3 of the data"),
    "columns": (lambda: Slices(rows()[:, :1]), {}, DataError, "expected batch 1 of the data to have shape (rows, 2)"),
    "parts": (lambda: tensors(rows(), rows(), rows()), {}, DataError, "or (x, context), got 3 parts in batch 1"),
    "context": (lambda: tensors(rows(), rows()), {}, ContextError, "expected no context for batch 1 of the data"),
    "context beside": (loader, {"context": rows()}, SpecError, "expected contexts in the batches of data"),
    "fraction": (loader, {"validation": 0.1}, DataError, "rows, a second iterable or None, got 0.1"),
    "weights": (loader, {"weights": np.ones(192)}, SpecError, "expected rows in memory for weights"),
    "batch size": (loader, {"batch_size": 8}, SpecError, "expected no batch_size, got 8"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_batches_get_one_sentence(name):
    make, options, kind, expected = BAD[name]
    with pytest.raises(kind) as error:
        fit(small(), make(), **{"validation": None, **OPTIONS, **options})
    assert expected in sentence(error)


def test_bad_validation_batches_and_events_outside_of_the_space():
    with pytest.raises(DataError, match="got nan in row 6, column 1 of batch 3 of the validation data"):
        fit(small(), loader(), validation=spoilt(np.nan), **OPTIONS)
    with pytest.raises(DataError, match="of batch 1 of the data outside"):
        fit(boxed(), loader(), validation=None, **OPTIONS)


def test_a_checkpoint_of_other_batches_is_refused(tmp_path):
    path = tmp_path / "c"
    fit(small(), loader(), validation=None, checkpoint=path, max_steps=2, **OPTIONS)
    with pytest.raises(TrainingError, match="of other data or another split"):
        fit(small(), loader(batch_size=16), validation=None, resume=path, **OPTIONS)
    assert QUICK["batch_size"] * 6 + 8 == ROWS
