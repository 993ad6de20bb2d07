"""Block neural autoregressive layers: onto the whole line, and the system on the command line."""

import pytest
import torch
from command_line import run

from pushforward.core import Real
from pushforward.errors import SpecError
from pushforward.systems import BNAF
from pushforward.transforms import BlockAutoregressive


def test_far_points_have_an_inverse():
    torch.manual_seed(0)
    layer = BlockAutoregressive(Real((3,)), hidden=(5, 4)).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    z = 1e6 * torch.randn(20, 3, dtype=torch.float64)
    x, dlogp = layer.inverse(z)
    again, back = layer(x)
    assert torch.allclose(again, z, rtol=1e-12)
    assert torch.equal(dlogp, -back)


def test_rows_of_the_weights_have_the_learned_norm():
    layer = BlockAutoregressive(Real((2,)), hidden=(3,)).layers[1]
    weight, blocks = layer.weights()
    assert torch.allclose(weight.norm(dim=1), layer.log_norm.exp())
    assert torch.equal(blocks[1], weight[1:, 3:])
    assert bool((weight[:1, 3:] == 0).all())
    assert bool((blocks > 0).all())


def test_slopes_of_saturated_units_do_not_vanish():
    layer = BlockAutoregressive(Real((1,)), hidden=(4, 4))
    torch.nn.init.constant_(layer.gate, -200.0)  # The gate adds exp(-200), which is zero in float32.
    dlogp = layer(torch.tensor([[80.0]]))[1]
    assert -500 < float(dlogp.detach()) < -50


@pytest.mark.parametrize("make", [lambda: BNAF(features=2, hidden=()), lambda: BNAF(features=2, layers=0)])
def test_a_system_without_layers_is_refused(make):
    with pytest.raises(SpecError, match=r"expected bnaf\.(hidden|layers)"):
        make()


def test_a_layer_without_hidden_units_is_refused():
    with pytest.raises(SpecError, match="at least one hidden layer"):
        BlockAutoregressive(Real((2,)), hidden=())


@pytest.mark.dear
def test_a_table_is_fitted_scored_and_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
    (tmp_path / "table.csv").write_text("a,b\n" + "\n".join(f"{a:.5f},{b:.5f}" for a, b in rows.tolist()))
    fields = ["--flow", "bnaf", "--max-steps", 3, "--set", "layers=1", "--set", "hidden=4"]
    for command in (
        ("fit", "table.csv", *fields, "--out", "t.flow"),
        ("score", "t.flow", "table.csv"),
        ("sample", "t.flow", "-n", 5, "--out", "new.csv"),
    ):
        code, _, err = run(*command)
        assert code == 0, err
    assert len((tmp_path / "new.csv").read_text().split()) == 6
