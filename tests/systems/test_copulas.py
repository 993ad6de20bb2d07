"""Systems of marginals with learned tails and of copulas."""

import numpy as np
import polars as pl
import pytest
import torch
from command_line import refused, run

from pushforward.core import Real, initialise
from pushforward.errors import DataError, SpecError
from pushforward.evaluation import copula_distances
from pushforward.systems import NSF, Copula, Vine
from pushforward.transforms import CopulaLayer, Marginals


def pareto(n, seed=0):
    return torch.rand(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** -0.3


def test_marginals_start_at_a_density_near_the_truth():
    flow = Copula(features=1).build().double()
    initialise(flow, pareto(4000)[:, :1])
    x = pareto(4000, 1)[:, :1]
    truth = (1 / 0.3 - 0) * 1.0
    log_truth = torch.log(torch.tensor(truth)) - (1 / 0.3 + 1) * x[:, 0].log()
    with torch.no_grad():
        assert abs(float((log_truth - flow.log_prob(x)).mean())) < 0.03


def test_density_is_continuous_at_the_joins():
    layer = Marginals(Real((1,)), 4).double()
    layer.init_from(pareto(2000)[:, :1])
    low, width, _, _ = layer.scalar._ends(layer.free[0])
    for join in (low, low + width):
        sides = torch.stack([join - 1e-9 * width, join + 1e-9 * width]).detach()[:, None]
        z, dlogp = layer(sides)
        assert torch.allclose(dlogp[0], dlogp[1], atol=1e-6)
        assert torch.allclose(z[0], z[1], atol=1e-6)


def test_the_copula_layer_has_uniform_marginals():
    torch.manual_seed(0)
    layer = CopulaLayer(Real((2,)), 3, hidden=(8,)).double()
    for p in layer.parameters():
        p.data.add_(0.3 * torch.randn(p.shape))
    n = 4000
    even = torch.logit((torch.arange(n, dtype=torch.float64) + 0.5) / n)
    # A lattice of two coordinates, so that the distance has almost no noise.
    order = (torch.arange(n) * 2473) % n
    with torch.no_grad():
        x, _ = layer.inverse(torch.stack([even, even[order]], 1))
    u = x[:, 1].sigmoid().sort().values
    assert float((u - (torch.arange(n) + 0.5) / n).abs().max()) < 3e-3
    assert float((x[:, 1] - even[order]).abs().max()) > 0.2


def test_bad_input_is_refused_in_one_sentence():
    flow = Vine(features=2).build()
    with pytest.raises(DataError, match=r"at least 20 different values in column 2, .* got 3"):
        initialise(flow, torch.stack([torch.randn(60), torch.arange(60) % 3], 1))
    with pytest.raises(SpecError, match="no context"):
        Copula.from_data(torch.randn(5, 2), torch.randn(5, 1))
    with pytest.raises(SpecError, match="share"):
        Copula(features=2, share=0.7)


def test_distances_of_marginals_need_marginals():
    flow = Copula(features=2, nodes=16, hidden=(4,)).build().eval()
    assert max(copula_distances(flow, 1000)) < 0.06
    plain = NSF(features=2, layers=1, hidden=4).build()
    with pytest.raises(SpecError, match="Marginals"):
        copula_distances(plain)


def test_the_command_names_the_column_and_tells_of_bounds(tmp_path):
    g = np.random.default_rng(0)
    x = g.normal(size=200)
    few = pl.DataFrame({"unit": [7] * 200, "level": g.choice([1.5, 2.5, 3.25], 200), "x": x})
    few.write_csv(tmp_path / "few.csv")
    fit = ["--epochs", 1, "--no-baselines", "--out", tmp_path / "m.flow"]
    refused(
        run("fit", tmp_path / "few.csv", "--flow", "copula", "--kind", "level=continuous", *fit, "-q"),
        1,
        "column 'level'",
    )
    pl.DataFrame({"left": x, "right": 2 * x + 1e-5 * g.normal(size=200)}).write_csv(tmp_path / "tied.csv")
    code, out, err = run("fit", tmp_path / "tied.csv", "--flow", "vine", "--set", "pairs=gaussian", *fit)
    assert code == 0, err
    assert "of columns left and right has the parameter" in out + err
