"""Mixed precision: only the networks are lowered, only while training, and log-probabilities hardly change."""

import logging
import pickle

import pytest
import torch
from test_compiling import REHEARSALS, Counting
from test_training import QUICK, breaking, counts, noisy_model, same, sentence, small, table, without_times
from torch import nn

import pushforward as pf
from pushforward.core import Chain, Flow, Real
from pushforward.distributions import Normal
from pushforward.errors import SpecError, TrainingError
from pushforward.networks import MLP, MaskedMLP, lower_precision
from pushforward.objectives import NegativeLogLikelihood
from pushforward.training import TrainConfig, compiling, evaluate, fit, split_rows
from pushforward.training import mixed_precision as precision_module
from pushforward.training import step as step_module
from pushforward.training.evaluate import evaluating
from pushforward.training.mixed_precision import LossScale
from pushforward.training.model_weights import snapshot
from pushforward.transforms import LU, Affine, Coupling

LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def networks():
    torch.manual_seed(0)
    mlp = MLP(3, 4, hidden=(16, 16, 16), residual=True, context=2, zero=False)
    made = MaskedMLP(3, 2, hidden=(16, 16), context=2, order=(2, 0, 1), zero=False)
    return {"mlp": mlp, "made": made}


# Which parts


@pytest.mark.parametrize("dtype", LOW.values(), ids=LOW)
@pytest.mark.parametrize("name", ["mlp", "made"])
def test_a_network_computes_in_the_low_precision_and_answers_in_its_own(name, dtype):
    network = networks()[name]
    x, c = torch.randn(7, 3), torch.randn(7, 2)
    seen = []
    for layer in [*network.hidden, network.out]:
        layer.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    exact = network(x, c)
    assert set(seen) == {torch.float32}
    seen.clear()
    with lower_precision(network, dtype):
        low = network(x, c)
    assert set(seen) == {dtype}
    assert low.dtype == torch.float32
    assert not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, atol=0.05, rtol=0.02)
    assert torch.equal(network(x, c), exact)
    low.sum().backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in network.parameters())


@pytest.mark.parametrize("build", ["realnvp", "nsf"])
def test_everything_but_the_networks_stays_in_full_precision(build):
    torch.manual_seed(0)
    flow = pf.build(build, features=3, layers=2)
    nn.init.normal_(flow.chain.layers[0].lower if build == "nsf" else flow.chain.layers[0].net.out.weight)
    seen = set()

    def look(module, given, result):
        if not isinstance(module, nn.Linear):
            tensors = result if isinstance(result, tuple) else (result,)
            seen.update(t.dtype for t in tensors)

    for module in flow.modules():
        module.register_forward_hook(look)
    with lower_precision(flow, torch.bfloat16):
        assert flow.log_prob(torch.randn(5, 3)).dtype == torch.float32
        assert flow.sample(4).dtype == torch.float32
    assert seen == {torch.float32}


def test_linear_layers_are_not_lowered():
    torch.manual_seed(0)
    flow = Flow(Chain(LU(Real((3,)))), Normal(Real((3,))))
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(9, 3)
    exact = flow.log_prob(x)
    with lower_precision(flow, torch.bfloat16):
        assert torch.equal(flow.log_prob(x), exact)


def test_the_unrolled_inverse_stays_in_full_precision():
    torch.manual_seed(0)
    flow = pf.build("maf", features=4, layers=2, hidden=(16,))
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.3)
    z = torch.randn(9, 4)
    exact = flow.decode(z)
    with lower_precision(flow, torch.bfloat16):
        assert torch.equal(flow.decode(z), exact)
        assert not torch.equal(flow.encode(exact), z)


def test_the_switch_is_undone_also_after_an_error():
    flow = small()
    before = {name: vars(module).copy() for name, module in flow.named_modules()}
    nets = [layer.net for layer in flow.chain.layers]

    def within():
        assert {net.precision for net in nets} == {torch.bfloat16}
        with lower_precision(nets[0], torch.float16):
            assert [net.precision for net in nets] == [torch.float16, torch.bfloat16]
        with lower_precision(flow, None):
            assert {net.precision for net in nets} == {torch.bfloat16}
        assert {net.precision for net in nets} == {torch.bfloat16}
        assert not [name for name in flow.state_dict() if "precision" in name]
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"), lower_precision(flow, torch.bfloat16):
        within()
    assert {name: vars(module) for name, module in flow.named_modules()} == before
    assert not torch.is_autocast_enabled("cpu")
    assert pickle.loads(pickle.dumps(nets[0])).precision is None


@pytest.mark.dear
@pytest.mark.filterwarnings("ignore")  # of torch about itself while it compiles
@pytest.mark.parametrize("build", [{"name": "realnvp", "batch_norm": True}, {"name": "nsf", "structure": "coupling"}])
@pytest.mark.parametrize("dtype", LOW.values(), ids=LOW)
def test_compiled_whole(build, dtype):
    torch.manual_seed(0)
    model = pf.build(features=3, layers=2, **{"hidden": 8 if build["name"] == "nsf" else (8,)}, **build).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    objective, batch = NegativeLogLikelihood(model), (torch.randn(16, 3),)
    loss = torch.compile(objective, fullgraph=True, backend="aot_eager")
    with lower_precision(model, dtype):
        expected = objective(batch)
        torch.testing.assert_close(loss(batch), expected)
    assert loss(batch) != expected


# How much log-probabilities change


def curved(rows, seed, features=8):
    """Three curved, correlated clusters in standardised columns."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(features, features, generator=torch.Generator().manual_seed(5)) / features**0.5
    h = torch.randn(rows, features, generator=generator)
    angle = 2.1 * torch.randint(0, 3, (rows, 1), generator=generator)
    x = h @ mixing + 2 * torch.cat([angle.cos(), angle.sin()], 1).repeat(1, features // 2)
    x[:, 1:] += 0.3 * x[:, :-1].square()
    return (x - x.mean(0)) / x.std(0)


TRAINED = {
    "realnvp": {"name": "realnvp", "layers": 4, "hidden": (64, 64)},
    "maf": {"name": "maf", "layers": 3, "hidden": (64, 64)},
    "nsf coupling": {"name": "nsf", "structure": "coupling", "layers": 2, "hidden": 64},
    "nsf autoregressive": {"name": "nsf", "layers": 2, "hidden": 64},
}


@pytest.mark.dear
@pytest.mark.parametrize("name", TRAINED)
def test_log_probabilities_of_trained_flows_change_by_less_than_a_thousandth_of_a_nat(name):
    x, features = curved(2000, 0), 8
    torch.manual_seed(0)
    start = pf.build(features=features, **TRAINED[name])
    scores, options = {}, {"epochs": 12, "batch_size": 200, "lr": 5e-3, "validation": None, "progress": False}
    for autocast in ("off", "bf16"):
        model = pickle.loads(pickle.dumps(start))
        fit(model, x, autocast=autocast, **options)
        scores[autocast] = evaluate(model, curved(2000, 1))
    # What is trained in low precision is as good.
    means = {autocast: score.mean().item() for autocast, score in scores.items()}
    assert means["off"] > evaluate(start, curved(2000, 1)).mean().item() + 1.5
    assert means["bf16"] == pytest.approx(means["off"], abs=0.02 * features)
    # The same weights, in low precision.
    with evaluating(model):
        for dtype in LOW.values():
            with lower_precision(model, dtype):
                low = model(curved(2000, 1))
            assert not torch.equal(low, scores["bf16"])
            assert abs((low - scores["bf16"]).mean().item()) / features <= 1e-3


# In training


@pytest.mark.parametrize("autocast", LOW)
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_weights_are_trained_and_scored_in_full_precision(autocast, ema):
    x = table()
    full, low = small(batch_norm=True), small(batch_norm=True)
    expected = fit(full, x, validation=50, ema=ema, lr=1e-2, **QUICK)
    result = fit(low, x, validation=50, ema=ema, lr=1e-2, autocast=autocast, **QUICK)
    assert result.config["autocast"] == autocast
    assert not same(full, low)
    assert {p.dtype for p in low.parameters()} == {torch.float32}
    assert result.best_validation == pytest.approx(expected.best_validation, abs=0.02)
    valid = x[split_rows(len(x), 50, seed=0)[1]]
    assert evaluate(low, valid).mean().item() == pytest.approx(result.best_validation, abs=1e-5)
    assert low.chain.layers[0].net.precision is None


@pytest.mark.parametrize("autocast", LOW)
def test_resumed_runs_end_with_the_same_weights(tmp_path, autocast, monkeypatch):
    monkeypatch.setattr(precision_module, "START", 2.0**30)
    options = {"autocast": autocast, "lr": 1e-2, **QUICK}
    path = tmp_path / "c"
    whole, resumed = noisy_model(), noisy_model(seed=4)
    expected = fit(whole, counts(), **options)
    fit(noisy_model(), counts(), checkpoint=path, max_steps=4, **options)
    monkeypatch.setattr(precision_module, "START", 1.0)
    assert without_times(fit(resumed, counts(), resume=path, **options)) == without_times(expected)
    assert same(whole, resumed)
    with pytest.raises(TrainingError) as error:
        fit(noisy_model(), counts(), resume=path, **{**options, "autocast": "off"})
    assert f"autocast='{autocast}', got autocast='off'" in sentence(error)


@pytest.mark.parametrize("autocast", LOW)
def test_models_in_double_precision_are_refused(autocast):
    with pytest.raises(SpecError) as error:
        fit(small().double(), table(), autocast=autocast, **QUICK)
    assert sentence(error) == (
        f"expected a model in float32 for autocast='{autocast}', got one in float64; use model.float() or autocast='off'"
    )
    with pytest.raises(SpecError, match="expected autocast to be one of off, bf16, fp16, got 'half'"):
        TrainConfig(autocast="half")


def test_a_model_without_networks_is_told_so(caplog):
    flow = Flow(Chain(LU(Real((2,)))), Normal(Real((2,))))
    fit(flow, table(), autocast="bf16", **QUICK)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pushforward.training", logging.WARNING)
    assert record.getMessage() == "autocast='bf16' changes nothing: the model has no network that it could act on"


def test_compiled_training_in_low_precision(monkeypatch):
    backend = Counting()
    monkeypatch.setattr(compiling, "BACKEND", backend)
    runs = []
    for compile in (False, True):
        model = small()
        result = fit(model, table(), autocast="bf16", compile=compile, lr=1e-2, **QUICK)
        assert result.config["compile"] is compile
        runs.append(snapshot(model))
    # 180 rows: five full batches an epoch, all of them through the one graph
    assert (backend.graphs, backend.calls) == (1, REHEARSALS + 15)
    torch.testing.assert_close(runs[0], runs[1], atol=2e-3, rtol=2e-2)
    full = small()
    fit(full, table(), lr=1e-2, **QUICK)
    assert not same(full, model)


# The loss scale of float16


def test_the_scale_follows_the_overflows(monkeypatch):
    monkeypatch.setattr(precision_module, "GROWTH_STEPS", 3)
    scale, one, inf = LossScale(torch.device("cpu")), torch.tensor(1.0), torch.tensor(torch.inf)
    start = scale.value.item()
    assert scale.scaled(one) == start
    gradients = [torch.tensor([start, 2 * start])]
    scale.unscale(gradients)
    assert gradients[0].tolist() == [1, 2]
    values = []
    for norm in (one, one, inf, one, one, one, inf, one):
        given = scale.judge(one, norm)
        assert (given.item(), scale.overflow.item()) == ((0, True) if norm is inf else (1, False))
        values.append(scale.value.item() / start)
    assert values == [1, 1, 0.5, 0.5, 0.5, 1, 0.5, 0.5]
    assert scale.judge(inf, inf).isinf()
    scale.value.fill_(1.0)
    assert scale.judge(one, inf).isinf()
    assert not scale.overflow


@pytest.mark.parametrize("check_every", [1, 50])
@pytest.mark.parametrize("fused", [True, False])
def test_steps_that_overflow_are_left_out_and_training_goes_on(monkeypatch, check_every, fused):
    """From too high a scale the first steps overflow; the weights then are those of a run that began later."""
    if not fused:
        check_every = 1
        monkeypatch.setattr(
            step_module, "make_optimizer", lambda p, c, factory: (torch.optim.AdamW(p, c.lr, weight_decay=1e-6), False)
        )
    from pushforward.training import trainer as trainer_module

    monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device: check_every)
    monkeypatch.setattr(precision_module, "START", 2.0**60)
    model = small()
    before = snapshot(model)
    options = {"autocast": "fp16", "initialise": False, "validation": None, "ema": 0, "progress": False}
    result = fit(model, table(), max_steps=4, batch_size=32, **options)
    assert (result.stopped, result.steps, result.message) == ("limit", 4, "")
    assert same(model, small())
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())
    result = fit(model, table(), epochs=12, batch_size=32, **options)
    assert result.stopped == "converged"
    assert not same(model, small())
    assert result.history[0]["gradient"] == 0
    assert 0 < result.history[-1]["gradient"] < 100
    assert result.history[-1]["train"] > result.history[0]["train"]


@pytest.mark.parametrize("check_every", [1, 50])
def test_numbers_too_large_for_float16_are_found_and_named(monkeypatch, check_every):
    from pushforward.training import trainer as trainer_module

    monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device: check_every)
    torch.manual_seed(0)
    space = Real((2,))
    model = Flow(Chain(Coupling(Affine(), space, [True, False])), Normal(space))
    nn.init.constant_(model.chain.layers[0].net.hidden[0].bias, 1e6)
    before = snapshot(model)
    fit(small(), table(), **QUICK)
    with pytest.raises(TrainingError) as error:
        fit(model, table(), autocast="fp16", initialise=False, **QUICK)
    text = sentence(error)
    assert "the loss became non-finite at epoch 1, step 1" in text
    assert "came from chain.layers.0 (Coupling), in its part net" in text
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())


@pytest.mark.parametrize("check_every", [1, 50])
def test_gradients_that_are_not_finite_at_any_scale_end_training(monkeypatch, check_every):
    from pushforward.training import trainer as trainer_module

    monkeypatch.setattr(trainer_module, "steps_between_checks", lambda device: check_every)
    model = breaking("gradient")
    model.chain.layers[1].on = True
    before = snapshot(model)
    result = fit(model, table(), autocast="fp16", initialise=False, epochs=10, batch_size=32, progress=False)
    # 4096 is halved twelve times, six steps an epoch.
    assert (result.stopped, result.steps) == ("nonfinite", 12)
    assert "the gradient became non-finite at epoch 3, step 1 " in result.message
    assert "the gradient of chain.layers.1.inner.weight was not" in result.message
    assert all(torch.equal(before[k], v) for k, v in snapshot(model).items())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("autocast", LOW)
@pytest.mark.parametrize("compile", [False, True])
def test_on_a_gpu(autocast, compile):
    full, low = small().cuda(), small().cuda()
    expected = fit(full, table(), lr=1e-2, **QUICK)
    result = fit(low, table(), lr=1e-2, autocast=autocast, compile=compile, **QUICK)
    assert result.config["compile"] is compile
    assert result.best_validation == pytest.approx(expected.best_validation, abs=0.02)
