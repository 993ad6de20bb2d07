import dataclasses
import itertools
import math
import time

import numpy as np
import pytest
import torch
from scipy import stats

from pushforward.core import Distribution, Exactness, Real, initialise
from pushforward.errors import DataError, DomainError, ShapeError, SpecError
from pushforward.systems import MAF
from pushforward.systems.spec import Spec
from pushforward.tables import TableModel, TableSpace, infer_schema, table_model
from pushforward.tables.column_layers import (
    Cast,
    DequantiseColumns,
    FillMissing,
    StandardiseColumns,
    Unbound,
    column_layers,
)
from pushforward.transforms import LU

SMALL = {"system": "maf", "layers": 2, "hidden": (8,)}


def build(schema, dtype=torch.float64, spread=0.3, **options):
    """A small model with random weights, so that nothing is the identity."""
    torch.manual_seed(0)
    model = table_model(schema, label_hidden=(8,), **{**SMALL, **options}).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return model


def identity(schema, dtype=torch.float64):
    """Every standardised coordinate is standard normal."""
    return table_model(schema, "maf", layers=1, hidden=(4,)).to(dtype).eval()


def log_prob(model, rows):
    with torch.no_grad():
        return model.log_prob(torch.as_tensor(np.asarray(rows, dtype=np.float64))).numpy()


def text(*labels):
    return np.array(labels, dtype=object)


rng = np.random.default_rng(0)
N = 60
NORMAL = rng.normal(3.0, 2.0, N)
GAMMA = rng.gamma(2.0, 3.0, N) + 1.0
SHARE = rng.beta(2.0, 3.0, N) * 4 - 1
HOLES = np.where(np.arange(N) % 4 == 0, np.nan, NORMAL)
COUNT = np.arange(N) % 4 + 2
COLOUR = np.array(["red", "green", "blue"], dtype=object)[np.arange(N) % 3]
FLAG = np.arange(N) % 2 == 0


# --- densities in raw units, against closed forms -----------------------------------------------------------------------

ORACLES = {
    "line": (NORMAL, (None, None), lambda c, x: stats.norm.logpdf(x, c.loc, c.scale)),
    "above": (GAMMA, (0.5, None), lambda c, x: stats.lognorm.logpdf(x - 0.5, c.scale, scale=math.exp(c.loc))),
    "below": (-GAMMA, (None, 2.0), lambda c, x: stats.lognorm.logpdf(2.0 - x, c.scale, scale=math.exp(-c.loc))),
    "between": (
        SHARE,
        (-1.0, 3.0),
        lambda c, x: (
            stats.norm.logpdf(np.log((x + 1) / (3 - x)), c.loc, c.scale) + np.log(4.0) - np.log(x + 1) - np.log(3 - x)
        ),
    ),
}


@pytest.mark.parametrize("case", ORACLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_continuous_column_has_the_density_of_its_closed_form(case, dtype):
    values, bounds, oracle = ORACLES[case]
    schema = infer_schema({"a": values}, bounds={"a": bounds})
    model = identity(schema, dtype)
    got = model.log_prob(torch.from_numpy(values)[:, None])
    assert got.dtype == torch.float64
    assert model.exactness == Exactness.EXACT
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    np.testing.assert_allclose(got.detach().numpy(), oracle(schema.columns[0], values), atol=tolerance)


def test_integers_have_the_probabilities_of_their_closed_form():
    schema = infer_schema({"n": COUNT}, bounds={"n": (1, 6)})
    column, model = schema.columns[0], identity(infer_schema({"n": COUNT}, bounds={"n": (1, 6)}))
    ends = np.log(np.arange(7) + 1e-300) - np.log(6 - np.arange(7) + 1e-300)
    exact = np.diff(stats.norm.cdf(ends, column.loc, column.scale))
    torch.manual_seed(0)
    levels = np.arange(1, 7.0)
    draws = np.exp(log_prob(model, np.repeat(levels, 20_000)[:, None])).reshape(6, -1)
    assert (abs(draws.mean(1) - exact) < 5 * draws.std(1) / math.sqrt(20_000) + 1e-12).all()
    counts = np.bincount(model.sample(50_000)[:, 0].long().numpy(), minlength=7)[1:]
    assert stats.chisquare(counts, 50_000 * exact).pvalue > 1e-3
    assert model.exactness == Exactness.NOISY | Exactness.LOWER
    assert (log_prob(model, [[0.0], [7.0], [2.5]]) == -math.inf).all()


def test_labels_and_missingness_are_exact_probabilities():
    colour = COLOUR.copy()
    colour[5] = None
    table = {
        "colour": colour,
        "flag": FLAG,
        "fixed": np.where(np.arange(N) % 5 == 0, np.nan, 7.0),
        "unit": text("kg") * 1,
    }
    table["unit"] = np.array(["kg"] * N, dtype=object)
    schema = infer_schema(table)
    model = build(schema)
    cells = list(itertools.product([0, 1, 2, math.nan], [0, 1], [7.0, math.nan], [0]))
    got = log_prob(model, cells)
    assert model.exactness == Exactness.EXACT
    assert model.space.discrete
    assert np.exp(got).sum() == pytest.approx(1, abs=1e-12)
    assert got.std() > 0.1
    assert (log_prob(model, [[0, 0, 6.0, 0], [3, 0, 7.0, 0], [0.5, 0, 7.0, 0], [0, 0, 7.0, 1]]) == -math.inf).all()
    x, upper = model.sample_and_log_prob(20_000)
    np.testing.assert_allclose(log_prob(model, x), upper.detach().numpy(), atol=1e-12)
    index = {tuple(str(v) for v in cell): i for i, cell in enumerate(np.array(cells, dtype=float).tolist())}
    counts = np.zeros(len(cells))
    for row in x.tolist():
        counts[index[tuple(str(v) for v in row)]] += 1
    assert stats.chisquare(counts, 20_000 * np.exp(got)).pvalue > 1e-3


# --- total mass one ----------------------------------------------------------------------------------------------------


def grid(kind, points=601):
    """Points and weights over the whole support, in raw units, from maps that share nothing with the library's."""
    t = np.linspace(-9, 9, points)
    step = t[1] - t[0]
    if kind == "line":
        return 3 + 5 * np.sinh(t / 3), step * 5 / 3 * np.cosh(t / 3)
    if kind == "above":
        return 0.5 + np.exp(2 * t), 2 * np.exp(2 * t) * step
    p = stats.norm.cdf(t)
    return -1 + 4 * p, 4 * stats.norm.pdf(t) * step


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mass_is_one_over_labels_and_a_bounded_column(dtype):
    for name, values, kind, bounds in (
        ("line", NORMAL, "line", (None, None)),
        ("above", GAMMA, "above", (0.5, None)),
        ("between", SHARE, "between", (-1.0, 3.0)),
    ):
        schema = infer_schema({name: values, "colour": COLOUR, "flag": FLAG}, bounds={name: bounds})
        model = build(schema, dtype)
        x, weight = grid(kind)
        keep = model.space.contains(torch.from_numpy(np.stack([x, 0 * x, 0 * x], 1))).numpy()
        total = 0.0
        for colour, flag in itertools.product(range(3), range(2)):
            rows = np.stack([x, np.full_like(x, colour), np.full_like(x, flag)], 1)[keep]
            total += (np.exp(log_prob(model, rows)) * weight[keep]).sum()
        assert total == pytest.approx(1, abs=2e-4), name


def test_mass_is_one_over_two_bounded_columns():
    schema = infer_schema({"a": GAMMA, "b": SHARE}, bounds={"a": (0.5, None), "b": (-1.0, 3.0)})
    model = build(schema, spread=0.15)
    (a, wa), (b, wb) = grid("above", 241), grid("between", 241)
    rows = np.stack(np.meshgrid(a, b, indexing="ij"), -1).reshape(-1, 2)
    mass = np.exp(log_prob(model, rows)).reshape(241, 241)
    assert wa @ mass @ wb == pytest.approx(1, abs=1e-4)


def test_mass_is_one_with_missing_values_and_integers():
    schema = infer_schema({"holes": HOLES, "count": COUNT, "flag": FLAG})
    model = build(schema, spread=0.1)
    assert model.exactness == Exactness.NOISY | Exactness.LOWER
    torch.manual_seed(1)
    repeats = 200
    x, weight = grid("line", 101)
    total, variance = 0.0, 0.0
    for count, flag in itertools.product(range(2, 6), range(2)):
        for points, weights in ((x, weight), (np.full(200, np.nan), np.full(200, 1 / 200))):
            rows = np.stack([points, np.full_like(points, count), np.full_like(points, flag)], 1)
            draws = np.exp(log_prob(model, np.tile(rows, (repeats, 1)))).reshape(repeats, -1) @ weights
            total += draws.mean()
            variance += draws.var() / repeats
    assert math.sqrt(variance) < 0.02
    assert abs(total - 1) < 4 * math.sqrt(variance) + 1e-3


def test_the_fill_is_weighed_by_its_own_density():
    # a flow that knows nothing of the bit: p(c) = N(0, 1) whatever is filled in, so that no noise is left
    schema = infer_schema({"holes": HOLES})
    model = identity(schema)
    got = log_prob(model, np.full((50, 1), np.nan))
    np.testing.assert_allclose(got, -math.log(2), atol=1e-12)
    present = HOLES[~np.isnan(HOLES)]
    oracle = stats.norm.logpdf(present, present.mean(), present.std()) - math.log(2)
    np.testing.assert_allclose(log_prob(model, present[:, None]), oracle, atol=1e-12)


def test_values_are_missing_in_samples_as_often_as_their_probability_says():
    schema = infer_schema({"holes": HOLES})
    model = identity(schema)
    with torch.no_grad():
        model.labels.net.out.bias.copy_(torch.tensor([0.0, 2.0]))
    share = stats.logistic.cdf(2.0)
    np.testing.assert_allclose(np.exp(log_prob(model, [[math.nan]])), share, rtol=1e-12)
    torch.manual_seed(0)
    missing = int(model.sample(5000).isnan().sum())
    assert stats.binomtest(missing, 5000, share).pvalue > 1e-3


# --- units and numbers -------------------------------------------------------------------------------------------------


def test_a_change_of_units_changes_log_prob_by_its_logarithm():
    def of(factor):
        table = {"a": NORMAL * factor, "b": GAMMA * factor, "c": SHARE * factor, "count": COUNT, "colour": COLOUR}
        bounds = {"b": (0.5 * factor, None), "c": (-1.0 * factor, 3.0 * factor)}
        schema = infer_schema(table, bounds=bounds)
        model = build(schema)
        torch.manual_seed(2)
        return log_prob(model, schema.encode(table))

    metres, millimetres = of(1.0), of(1000.0)
    np.testing.assert_allclose(metres - millimetres, 3 * math.log(1000), atol=1e-9)


def test_timestamps_survive_float32():
    seconds = 1.7e9 + 1e4 * np.random.default_rng(3).normal(size=2000) + 0.123
    schema = infer_schema({"t": seconds})
    model = identity(schema, torch.float32)
    oracle = stats.norm.logpdf(seconds, seconds.mean(), seconds.std())
    np.testing.assert_allclose(log_prob(model, seconds[:, None]), oracle, atol=1e-5)
    torch.manual_seed(0)
    x = model.sample(4000)[:, 0].numpy()
    assert x.std() == pytest.approx(seconds.std(), rel=0.05)
    assert len(np.unique(x)) > 3900
    wide = infer_schema({"t": seconds.astype(np.int64)})
    x = identity(wide, torch.float32).sample(4000)[:, 0].numpy()
    assert (x == np.rint(x)).all()
    assert seconds.min() // 1 <= x.min() < x.max() <= seconds.max() // 1


def test_changing_the_dtype_to_and_fro_keeps_the_columns_constants():
    schema = infer_schema({"t": 1.7e9 + 1e4 * NORMAL})
    model = identity(schema).half().double()
    column = schema.columns[0]
    oracle = stats.norm.logpdf(1.7e9 + 1e4 * NORMAL, column.loc, column.scale)
    np.testing.assert_allclose(log_prob(model, (1.7e9 + 1e4 * NORMAL)[:, None]), oracle, atol=1e-9)
    assert not any("anchor" in name for name in model.state_dict())


def test_values_on_and_outside_bounds():
    schema = infer_schema(
        {"a": np.append(GAMMA, 0.5), "b": np.append(SHARE, 3.0)}, bounds={"a": (0.5, None), "b": (-1, 3)}
    )
    model = build(schema)
    on = log_prob(model, [[0.5, 3.0], [0.5, -1.0], [1.0, 0.0]])
    assert np.isfinite(on).all()
    assert (log_prob(model, [[0.49, 0.0], [1.0, 3.1], [1.0, -1.1]]) == -math.inf).all()
    tiny = log_prob(model, [[0.5 + 1e-12, 0.0], [1e300, 0.0]])
    assert np.isfinite(tiny).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_stay_strictly_inside_even_for_wild_latents(dtype):
    columns = infer_schema(
        {"a": GAMMA, "b": -GAMMA, "c": SHARE, "n": COUNT},
        bounds={"a": (0.5, None), "b": (None, 2.0), "c": (-1.0, 3.0), "n": (2, 9)},
    ).columns
    z = torch.tensor([-1e30, -1e4, -50.0, 0.0, 50.0, 1e4, 1e30], dtype=dtype)[:, None].expand(-1, 4)
    for layer in reversed(column_layers(columns)):
        z = layer.to(dtype).inverse(z)[0]
    x = z.numpy()
    assert np.isfinite(x).all()
    assert (x[:, 0] > 0.5).all()
    assert (x[:, 1] < 2).all()
    assert ((x[:, 2] > -1) & (x[:, 2] < 3)).all()
    assert set(x[:, 3]) <= set(range(2, 10))
    assert TableSpace(columns).contains(z).all()


# --- layers ------------------------------------------------------------------------------------------------------------

CONTINUOUS = infer_schema(
    {"a": GAMMA, "b": -GAMMA, "c": SHARE, "d": NORMAL}, bounds={"a": (0.5, None), "b": (None, 2.0), "c": (-1.0, 3.0)}
).columns


@pytest.mark.parametrize("make", [Unbound, StandardiseColumns])
def test_layers_invert_and_their_contribution_is_the_log_determinant(make):
    layer = make(CONTINUOUS) if make is Unbound else StandardiseColumns(Unbound(CONTINUOUS).z_space.columns)
    torch.manual_seed(0)
    x = layer.x_space.random(50)
    z, dlogp = layer(x)
    back, opposite = layer.inverse(z)
    np.testing.assert_allclose(back, x, rtol=1e-12)
    np.testing.assert_allclose(opposite, -dlogp, atol=1e-10)
    leaf = x.clone().requires_grad_()
    image = layer(leaf)[0]
    jacobian = torch.stack([torch.autograd.grad(image[:, i].sum(), leaf, retain_graph=True)[0] for i in range(4)], 1)
    np.testing.assert_allclose(dlogp, jacobian.slogdet()[1], atol=1e-10)
    holes = x.clone()
    holes[::2, 0] = math.nan
    np.testing.assert_allclose(layer(holes)[1][::2], jacobian[::2, 1:, 1:].slogdet()[1], atol=1e-10)


def test_dequantise_and_fill_are_undone():
    columns = infer_schema({"n": COUNT, "h": HOLES}).columns
    torch.manual_seed(0)
    layer = DequantiseColumns(columns)
    x = layer.x_space.random(500)
    y, dlogp = layer(x)
    assert (dlogp == 0).all()
    assert torch.equal(layer.inverse(y)[0].nan_to_num(-99), x.nan_to_num(-99))
    assert ((y[:, 0] >= 0) & (y[:, 0] < 4)).all()
    assert stats.kstest((y[:, 0] % 1).numpy(), "uniform").pvalue > 1e-3
    assert y[:, 0].unique().numel() == 500
    ends = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [4.0, 0.0], [1e300, 0.0]], dtype=torch.float64)
    assert layer.inverse(ends)[0][:, 0].tolist() == [2, 2, 5, 5]
    fill = FillMissing(columns, 2, [-1, 1])
    context = torch.nn.functional.one_hot((~x[:, 1].isnan()).long(), 2).double()
    z, dlogp = fill(x, context)
    assert z.isfinite().all()
    missing = x[:, 1].isnan().numpy()
    np.testing.assert_allclose(dlogp[missing], -stats.norm.logpdf(z[missing, 1]), atol=1e-12)
    assert (dlogp[~missing] == 0).all()
    assert stats.kstest(z[missing, 1].numpy(), "norm").pvalue > 1e-3
    back, opposite = fill.inverse(z, context)
    assert torch.equal(back.nan_to_num(-99), x.nan_to_num(-99))
    np.testing.assert_allclose(opposite, -dlogp, atol=1e-12)


def test_only_the_layers_that_are_needed_are_there():
    def kinds(table, **options):
        return [type(layer) for layer in column_layers(infer_schema(table, **options).columns, 2, [1])]

    assert kinds({"a": NORMAL}) == [StandardiseColumns, Cast]
    assert kinds({"a": GAMMA}, bounds={"a": (0, None)}) == [Unbound, StandardiseColumns, Cast]
    assert kinds({"a": HOLES}) == [StandardiseColumns, FillMissing, Cast]
    assert kinds({"a": COUNT}) == [DequantiseColumns, Unbound, StandardiseColumns, Cast]
    with pytest.raises(DataError, match="'c', which is categorical"):
        column_layers(infer_schema({"c": COLOUR}).columns)


# --- the whole model ---------------------------------------------------------------------------------------------------


def everything():
    colour = COLOUR.copy()
    colour[5] = None
    children = np.array((np.arange(N) % 5).tolist(), dtype=object)
    children[::7] = None
    return {
        "holes": HOLES,
        "count": COUNT,
        "colour": colour,
        "flag": FLAG,
        "gamma": GAMMA,
        "unit": np.array(["kg"] * N, dtype=object),
        "children": children,
        "whole": (np.arange(N) % 7).astype(float),
    }


@pytest.mark.parametrize("system", ["nsf", "maf", "realnvp", "nice", "made", "iaf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_system_scores_and_samples_a_mixed_table(system, dtype):
    table = everything()
    schema = infer_schema(table, bounds={"gamma": (0, None)})
    torch.manual_seed(0)
    model = table_model(schema, system, label_hidden=(8,)).to(dtype).eval()
    rows = torch.from_numpy(schema.encode(table))
    initialise(model, rows)
    score = model.log_prob(rows)
    assert score.shape == (N,)
    assert score.isfinite().all()
    x = model.sample(300)
    assert x.dtype == torch.float64
    assert model.space.contains(x).all()
    drawn = schema.decode(x)
    assert drawn.names == tuple(table)
    assert [c.dtype.kind for c in drawn.columns] == list("fiObfOOf")
    assert set(drawn["colour"]) == {"red", "green", "blue", None}
    assert set(drawn["unit"]) == {"kg"}
    assert set(drawn["children"]) <= {0, 1, 2, 3, 4, None}
    assert set(map(type, drawn["children"])) == {int, type(None)}
    assert set(drawn["whole"]) <= set(range(7))
    assert np.isnan(drawn["holes"]).any()
    assert (drawn["gamma"] > 0).all()
    assert model.log_prob(x).isfinite().all()
    assert model.encode(rows.reshape(6, 10, -1)).shape == (6, 10, 5)
    assert model.encode(rows).dtype == dtype
    assert model.log_prob(rows.reshape(6, 10, -1)).shape == (6, 10)
    assert model.sample((2, 3)).shape == (2, 3, 8)
    assert model.sample(0).shape == (0, 8)
    assert model.log_prob(rows[:0]).shape == (0,)
    assert model.at().log_prob(rows).shape == (N,)
    assert isinstance(model, Distribution)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_reach_every_parameter(dtype):
    table = everything()
    schema = infer_schema(table, bounds={"gamma": (0, None)})
    model = build(schema, dtype, system="nsf", hidden=8, bins=4).train()
    (-model(torch.from_numpy(schema.encode(table))).mean()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_lower_and_upper_estimates_meet_when_exact_and_straddle_when_not():
    exact = infer_schema({"a": NORMAL, "b": GAMMA, "colour": COLOUR}, bounds={"b": (0, None)})
    model = build(exact)
    x, upper = model.sample_and_log_prob(200)
    np.testing.assert_allclose(log_prob(model, x), upper, atol=1e-9)
    noisy = infer_schema({"count": COUNT, "holes": HOLES})
    model = build(noisy, spread=0.2)
    torch.manual_seed(0)
    x, upper = model.sample_and_log_prob(4000)
    lower = log_prob(model, x)
    assert upper.mean() > lower.mean()


def test_training_approaches_the_entropy():
    draws = np.random.default_rng(5)
    label = draws.random(1500) < 0.25
    table = {"label": label, "x": np.where(label, 100.0, -100.0) + draws.normal(0, 10.0, 1500)}
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75) + math.log(10) + 0.5 * math.log(2 * math.pi * math.e)
    schema = infer_schema(table)
    torch.manual_seed(0)
    model = table_model(schema, "maf", layers=1, hidden=(16,), label_hidden=(8,))
    rows = torch.from_numpy(schema.encode(table))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(120):
        optimiser.zero_grad()
        loss = -model(rows).mean()
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(entropy, abs=0.06)


def test_missing_values_are_accepted_where_they_were_seen_and_nowhere_else():
    schema = infer_schema({"holes": HOLES, "full": NORMAL})
    model = build(schema)
    assert model.space.allows_missing
    assert np.isfinite(log_prob(model, [[math.nan, 1.0]])).all()
    for bad in ([[1.0, math.nan]], [[math.inf, 1.0]], [[1.0, -math.inf]]):
        with pytest.raises(DomainError, match="finite"):
            log_prob(model, bad)
    assert model(torch.tensor([[1.0, math.nan]], dtype=torch.float64)).item() == -math.inf
    with pytest.raises(DomainError, match="float64"):
        model.log_prob(torch.zeros(1, 2))
    with pytest.raises(ShapeError, match="2"):
        model.log_prob(torch.ones(1, 3, dtype=torch.float64))
    with pytest.raises(DomainError, match="finite"):
        model.log_prob(torch.full((1, 3), math.nan, dtype=torch.float64))


def test_the_space_knows_its_points():
    schema = infer_schema(everything(), bounds={"gamma": (0, None)})
    space = TableSpace(schema.columns)
    assert space == build(schema).space
    assert len({space, TableSpace(schema.columns)}) == 1
    torch.manual_seed(0)
    x = space.random(500)
    assert x.dtype == torch.float64
    assert space.contains(x).all()
    assert x.isnan().any(0).tolist() == [column.missing for column in schema.columns]
    assert torch.equal(space.nearest(x).nan_to_num(-9), x.nan_to_num(-9))
    wild = torch.tensor([math.nan, math.inf, -math.inf, 1e9, -1e9, 0.4], dtype=torch.float64)[:, None].expand(-1, 8)
    assert space.contains(space.nearest(wild)).all()
    assert not space.contains(wild).any()
    assert not TableSpace(infer_schema({"a": NORMAL}).columns).bounded
    assert "'holes'" in repr(space)
    assert len(repr(space)) < 200


def test_tables_that_need_no_flow_or_no_labels():
    only = table_model(infer_schema({"colour": COLOUR}), "nsf", layers=3)
    assert only.spec is None
    assert only.numbers is None
    assert only.sample(5).shape == (5, 1)
    with pytest.raises(DataError, match="labels only"):
        only.encode(only.sample(5))
    initialise(only, only.sample(5))
    assert table_model(infer_schema({"a": NORMAL})).labels is None


def test_what_does_not_fit_is_refused():
    schema = infer_schema({"a": NORMAL, "colour": COLOUR})
    for make, error, words in (
        (lambda: table_model(schema, "nfs"), SpecError, "did you mean 'nsf'"),
        (lambda: table_model(schema, "nsf", layer=3), SpecError, "no argument 'layer'"),
        (lambda: table_model(schema, "nsf", features=3), SpecError, "'features'"),
        (lambda: TableModel(schema, MAF(features=1, context=2)), SpecError, "features=1 and context=3"),
        (lambda: TableModel(schema, None), SpecError, "got features=0"),
        (lambda: TableModel(infer_schema({"c": COLOUR}), MAF(features=1)), SpecError, "features=0"),
    ):
        with pytest.raises(error, match=words):
            make()


def test_a_system_without_context_models_numbers_only(monkeypatch):
    monkeypatch.setattr(Spec, "registry", dict(Spec.registry))

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Plain(Spec):
        name = "plain"
        family = "test"
        paper = "none"
        features: int

        def build(self):
            return MAF(features=self.features, layers=1, hidden=(4,)).build()

        @classmethod
        def cases(cls):
            yield cls(features=1)

    assert table_model(infer_schema({"a": NORMAL}), "plain").numbers.base.space == Real((1,))
    with pytest.raises(SpecError, match="takes no context"):
        table_model(infer_schema({"a": NORMAL, "colour": COLOUR}), "plain")


def test_wide_lu_layers_are_the_same_for_few_and_for_many_rows():
    torch.manual_seed(0)
    for rotation in (False, True):
        layer = LU(Real((260,)), rotation=rotation).double()
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.add_(0.02 * torch.randn_like(parameter))
        x = torch.randn(300, 260, dtype=torch.float64)
        few, many = layer(x[:5])[0], layer(x)[0]
        torch.testing.assert_close(few, many[:5])
        torch.testing.assert_close(layer.inverse(few)[0], x[:5])


def test_thousands_of_columns_are_described_and_encoded_in_time():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 4000))
    labels = rng.choice(["a", "b"], size=(20, 1000)).astype(object)
    columns = {f"x{i}": values[:, i] for i in range(4000)} | {f"c{i}": labels[:, i] for i in range(1000)}
    began = time.process_time()
    schema = infer_schema(columns)
    encoded = schema.encode(columns)
    assert time.process_time() - began < 10
    assert encoded.shape == (20, 5000)
    assert schema.decode(encoded)["c7"].tolist() == labels[:, 7].tolist()
