"""Weights of rows: repeated rows, rows left out, and weighted moments."""

import contextlib

import numpy as np
import pytest
import torch
from test_training import QUICK, ROWS, same, sentence, small, table, without_times
from torch import nn

import pushforward as pf
from pushforward.core import Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import DataError, SpecError
from pushforward.objectives import (
    Binarised,
    EvidenceBound,
    Flipped,
    FlowMatching,
    NegativeLogLikelihood,
    PenalisedLikelihood,
)
from pushforward.objectives.matching import OptimalTransport, SchroedingerBridge, Straight
from pushforward.objectives.weighted_mean import require_row_weights
from pushforward.training import evaluate, fit
from pushforward.training import step as step_module
from pushforward.training.row_weights import as_row_weights, with_mean_one
from pushforward.training.validation_split import prepare
from pushforward.transforms import Affine, Elementwise


def gradients(objective, *inputs):
    torch.manual_seed(0)
    objective.zero_grad()
    loss = objective(*inputs)
    loss.backward()
    return loss.detach(), [p.grad.clone() for p in objective.parameters() if p.grad is not None]


def moved(model):
    """The model away from its start, where some gradients are zero."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.double()


def likelihood():
    return NegativeLogLikelihood(moved(small(context=1)))


def penalised():
    model = moved(pf.build("otflow", features=2, hidden=4, steps=2, context=1))
    return PenalisedLikelihood(model, {"energy": 0.1, "hjb": 0.2})


@pytest.mark.parametrize("make", [likelihood, penalised])
def test_whole_weights_are_repeated_rows_and_weights_of_zero_are_rows_left_out(make):
    objective = make().train()
    x, c = torch.tensor(table(12)), torch.randn(12, 1, dtype=torch.float64)
    weights = torch.tensor([0, 1, 2, 3, 1, 0, 2, 1, 1, 4, 0, 1], dtype=torch.float64)
    repeats = weights.long()
    repeated = (x.repeat_interleave(repeats, 0), c.repeat_interleave(repeats, 0))
    loss, found = gradients(objective, (x, c), weights / weights.mean())
    expected, truth = gradients(objective, repeated)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(found, truth)


def test_weights_of_one_change_no_bit():
    runs = []
    for options in ({}, {"weights": np.ones(ROWS)}, {"weights": np.full(ROWS, 0.3)}):
        model = small()
        runs.append((model, fit(model, table(), **options, **QUICK)))
    for model, result in runs[1:]:
        assert same(runs[0][0], model)
        assert without_times(result) == without_times(runs[0][1])


def test_rows_of_weight_zero_are_left_out():
    x = table()
    weights = np.random.default_rng(0).uniform(size=ROWS) * (np.arange(ROWS) % 3 > 0)
    whole, part = small(), small()
    first = fit(whole, x, weights=weights, **QUICK)
    second = fit(part, x[weights > 0], weights=weights[weights > 0], **QUICK)
    assert same(whole, part)
    assert without_times(first) == without_times(second)
    assert first.train_rows + first.validation_rows == (weights > 0).sum()


def gaussian():
    space = Real((2,))
    return Flow(Elementwise(Affine(), space), Normal(space))


def test_a_weighted_gaussian_has_the_weighted_moments():
    x = table(400, seed=3)
    weights = np.exp(x[:, 0])
    mean = (weights[:, None] * x).sum(0) / weights.sum()
    variance = (weights[:, None] * (x - mean) ** 2).sum(0) / weights.sum()
    model = gaussian()
    options = {"epochs": 60, "batch_size": 100, "lr": 0.1, "schedule": "cosine", "ema": 0.9, "clip": 0.0}
    result = fit(model, x, weights=weights, validation=None, initialise=False, progress=False, **options)
    draws, _ = model.chain.inverse(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert draws[0].tolist() == pytest.approx(mean.tolist(), abs=0.03)
    assert (draws[1] - draws[0]).abs().tolist() == pytest.approx((variance**0.5).tolist(), abs=0.03)
    best = -0.5 * (1 + np.log(2 * np.pi * variance)).sum()
    assert result.history[-1]["train"] == pytest.approx(best, abs=0.01)


def test_the_validation_score_is_the_weighted_mean():
    x = table()
    weights = np.random.default_rng(1).gamma(1.0, size=ROWS)
    model = small()
    result = fit(model, x, weights=weights, validation=60, **QUICK)
    split = prepare(small(), x, None, 60, 0, weights)
    valid = split.valid_index
    scores = evaluate(model, x[valid]).numpy()
    expected = (weights[valid] * scores).sum() / weights[valid].sum()
    assert result.best_validation == pytest.approx(expected, abs=1e-5)


def test_the_mean_loss_of_the_batches_is_the_weighted_mean():
    x = table()
    weights = np.random.default_rng(1).gamma(0.5, size=ROWS)
    options = {"lr": 1e-30, "weight_decay": 0, "ema": 0, "initialise": False, "validation": None}
    result = fit(small(), x, weights=weights, **options, **QUICK)
    expected = (weights * evaluate(small(), x).numpy()).sum() / weights.sum()
    assert [record["train"] for record in result.history] == pytest.approx([expected] * 3, abs=1e-5)


def test_a_resumed_run_needs_the_same_weights(tmp_path):
    path = tmp_path / "c"
    weights = 1.0 + np.arange(ROWS)
    whole, resumed = small(), small(seed=3)
    fit(whole, table(), weights=weights, **QUICK)
    fit(small(), table(), weights=weights, checkpoint=path, max_steps=8, **QUICK)
    fit(resumed, table(), weights=2 * weights, resume=path, **QUICK)
    assert same(whole, resumed)
    with pytest.raises(pf.errors.TrainingError, match="of other data or another split"):
        fit(small(), table(), resume=path, **QUICK)


def test_weights_are_scaled_without_overflow():
    weights = as_row_weights([1e308, 0.0, 5e307], 3)
    scaled = with_mean_one(weights, torch.tensor([0, 2]), torch.zeros(1))
    assert scaled.tolist() == pytest.approx([4 / 3, 0, 2 / 3])


def test_a_compiled_objective_gets_the_weights(monkeypatch):
    """Without a compiler, which takes long to load: the compiled function is called with the arguments of the objective."""
    seen = []

    def compiled(objective, whole, batch, weights):
        return lambda batch, weights: seen.append(len(weights)) or objective(batch, weights)

    monkeypatch.setattr(step_module, "compiled", compiled)
    monkeypatch.setattr(step_module, "no_recompilation", contextlib.nullcontext)
    weights = np.random.default_rng(1).gamma(1.0, size=ROWS)
    runs = []
    for compile in (False, True):
        model = small()
        result = fit(model, table(), weights=weights, compile=compile, **QUICK)
        assert result.config["compile"] is compile
        runs.append(model)
    assert same(*runs)
    assert seen == [32] * 15


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (np.where(np.arange(ROWS) == 7, -1.0, 1.0), "expected finite weights >= 0, got -1.0 in row 7 of the weights"),
        (np.where(np.arange(ROWS) == 9, np.nan, 1.0), "expected finite weights >= 0, got nan in row 9 of the weights"),
        (np.ones(3), "expected one weight for each of 200 rows, got weights of shape (3,)"),
        (np.ones((ROWS, 1)), "got weights of shape (200, 1)"),
        (np.zeros(ROWS), "expected at least one weight above zero"),
        (["a"] * ROWS, "expected the weights to be an array of numbers"),
        (2.0, "expected the weights to have one row for each event"),
    ],
)
def test_bad_weights_get_one_sentence(weights, expected):
    with pytest.raises(DataError) as error:
        fit(small(), table(), weights=weights, **QUICK)
    assert expected in sentence(error)


def test_objectives_that_cannot_weight_rows_are_refused():
    class Own(NegativeLogLikelihood):
        def forward(self, batch):
            return super().forward(batch)

    flow = small()
    for objective in (Own(flow), Flipped(Own(flow))):
        with pytest.raises(SpecError) as error:
            fit(flow, table(), weights=np.ones(ROWS), objective=objective, **QUICK)
        assert "expected an objective that takes weights of rows, got Own, whose forward has no argument" in sentence(
            error
        )
    for bridge in (OptimalTransport(), SchroedingerBridge()):
        with pytest.raises(SpecError, match=r"got FlowMatching with .*, which pairs rows of equal weight"):
            require_row_weights(FlowMatching(flow, bridge))
    require_row_weights(FlowMatching(flow, Straight()))
    require_row_weights(Binarised(EvidenceBound(flow)))


def test_half_of_the_rows_with_twice_the_weight():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * x.sum(1)

    x = torch.randn(6, 2)
    weights = torch.tensor([2.0, 2, 2, 0, 0, 0])
    objective = NegativeLogLikelihood(Model())
    assert torch.allclose(objective((x,), weights), objective((x[:3],)))
    flipped = Flipped(objective).eval()
    assert torch.allclose(flipped((x,), weights), objective((x[:3],)))


def test_the_bound_and_flow_matching_weight_each_row():
    """With the random numbers of the rows held fixed, weights of one half of the rows leave the loss of that half."""
    vae = pf.build("vae", shape=(1, 4, 4), latent=2, hidden=(4,))
    matched = pf.build("flow-matching", features=2, hidden=(4,))
    pictures = torch.bernoulli(torch.full((6, 1, 4, 4), 0.5))
    for objective, x in ((EvidenceBound(vae), pictures), (FlowMatching(matched, Straight()), torch.randn(6, 2))):
        losses = []
        for weights in (None, torch.ones(6), torch.tensor([2.0, 2, 2, 0, 0, 0]), torch.tensor([0.0, 0, 0, 2, 2, 2])):
            torch.manual_seed(0)
            losses.append(objective((x,), weights).item())
        assert losses[1] == pytest.approx(losses[0], rel=1e-6)
        assert (losses[2] + losses[3]) / 2 == pytest.approx(losses[0], rel=1e-5)
        assert losses[2] != pytest.approx(losses[3], rel=1e-3)
