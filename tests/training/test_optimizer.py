"""Optimizers of the user's own: the schedule, clipping and resume work as with AdamW."""

import pytest
import torch
from test_training import QUICK, breaking, same, sentence, small, table, without_times

from pushforward.errors import SpecError, TrainingError
from pushforward.training import fit
from pushforward.training.checkpoint import load_checkpoint


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-6, fused=True)


def momentum(parameters):
    return torch.optim.SGD(parameters, lr=1e-2, momentum=0.9)


def test_the_default_made_by_hand_gives_the_same_weights():
    runs = []
    for options in ({}, {"optimizer": adamw}, {"optimizer": adamw, "lr": 0.5}):
        model = small()
        fit(model, table(), **options, **QUICK)
        runs.append(model)
    assert same(runs[0], runs[1])
    assert same(runs[0], runs[2])


def test_the_schedule_multiplies_the_rates_of_all_groups_and_the_gradient_is_clipped():
    seen = []

    class Looking(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [p.grad for group in self.param_groups for p in group["params"]]
            seen.append(([group["lr"] for group in self.param_groups], torch.nn.utils.get_total_norm(gradients).item()))
            return super().step()

    def factory(parameters):
        return Looking([{"params": parameters[:2], "lr": 1e-3}, {"params": parameters[2:]}], lr=1e-2)

    result = fit(small(), table(), optimizer=factory, warmup=4, schedule="constant", clip=0.1, **QUICK)
    assert len(seen) == 18
    assert [rates[0] for rates, _ in seen[:5]] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    assert all(second == pytest.approx(10 * first) for (first, second), _ in seen)
    assert max(norm for _, norm in seen) == pytest.approx(0.1, rel=1e-3)
    assert [record["lr"] for record in result.history] == [1e-3] * 3


@pytest.mark.parametrize("factory", [momentum, torch.optim.RMSprop, adamw])
def test_resumed_runs_end_with_the_same_weights(tmp_path, factory):
    path = tmp_path / "c"
    whole, resumed = small(), small(seed=4)
    expected = fit(whole, table(), optimizer=factory, **QUICK)
    fit(small(), table(), optimizer=factory, checkpoint=path, max_steps=8, **QUICK)
    assert load_checkpoint(path)["optimizer_class"] == factory(list(small().parameters())).__class__.__name__
    result = fit(resumed, table(), optimizer=factory, resume=path, **QUICK)
    assert same(whole, resumed)
    assert without_times(result) == without_times(expected)


def test_a_checkpoint_of_another_optimizer_is_refused(tmp_path):
    path = tmp_path / "c"
    fit(small(), table(), optimizer=momentum, checkpoint=path, max_steps=2, **QUICK)
    for other, name in (({}, "AdamW of fit"), ({"optimizer": torch.optim.Adam}, "Adam")):
        with pytest.raises(TrainingError) as error:
            fit(small(), table(), resume=path, **other, **QUICK)
        assert f"of a run with the optimizer SGD, got {name}; resume with the same optimizer" in sentence(error)


def test_a_step_that_is_not_finite_is_not_applied_by_an_optimizer_without_a_flag():
    model = breaking("gradient")
    model.chain.layers[1].on = True
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(TrainingError, match="the gradient became non-finite at epoch 1, step 1"):
        fit(model, table(), optimizer=momentum, initialise=False, **QUICK)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        (lambda p: None, "expected optimizer to return a torch.optim.Optimizer, got a NoneType"),
        (
            torch.optim.SGD([torch.zeros(1, requires_grad=True)]),
            "a function that makes one from the parameters, got a SGD",
        ),
        (
            lambda p: torch.optim.SGD([torch.zeros(1, requires_grad=True)]),
            "of the parameters that it is given, got a SGD",
        ),
        (torch.optim.LBFGS, "an optimizer whose step needs no closure, got a LBFGS"),
    ],
)
def test_what_makes_no_optimizer_is_refused(factory, expected):
    with pytest.raises(SpecError) as error:
        fit(small(), table(), optimizer=factory, **QUICK)
    assert expected in sentence(error)
