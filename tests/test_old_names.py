"""Names, model files and archives of the version before still work."""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward import moved
from pushforward.compression import Archive

OLD = Path(__file__).parent / "files" / "version-0.1"


@pytest.mark.parametrize("old", sorted(moved.MODULES))
def test_modules_are_found_by_their_old_names(old: str) -> None:
    if old.endswith((".sbi", ".pyro")):
        pytest.importorskip(old.rpartition(".")[2])
    sys.modules.pop(f"pushforward.{old}", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module = importlib.import_module(f"pushforward.{old}")
    assert any(f"is pushforward.{moved.MODULES[old]} now" in str(warning.message) for warning in caught)
    assert module is importlib.import_module(f"pushforward.{moved.MODULES[old]}")


@pytest.mark.parametrize(
    ("statement", "home"),
    [
        ("from pushforward.data import read_table", "pushforward.tables"),
        ("from pushforward.data import ImageSet", "pushforward.pictures"),
        ("from pushforward.inference import fit", "pushforward.posteriors"),
        ("from pushforward.inference import encode", "pushforward.evaluation"),
        ("from pushforward.diagnostics import baselines", "pushforward.evaluation"),
        ("from pushforward.codec import compress", "pushforward.compression"),
        ("from pushforward.core import Spec, build", "pushforward.systems.spec"),
        ("from pushforward.networks import MADE", "pushforward.networks"),
        ("from pushforward.distributions import pushforward", "pushforward.random_variables"),
        ("from pushforward.distributions.pushforward import Table", "pushforward.random_variables"),
        ("from pushforward.core.base import Transform, Distribution", "pushforward.core"),
        ("from pushforward.core.compose import Chain, Flow", "pushforward.core"),
    ],
)
def test_old_imports_work_with_a_warning(statement: str, home: str) -> None:
    for name in [
        name for name in sys.modules if name.removeprefix("pushforward.") in {*moved.MODULES, *moved.PACKAGES}
    ]:
        del sys.modules[name]
    vars(pf.distributions).pop("pushforward", None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(statement, {})
    messages = [str(warning.message) for warning in caught]
    assert any(home in message and "will be removed in the next version" in message for message in messages)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unknown_names_are_still_errors() -> None:
    with pytest.raises(AttributeError):
        _ = pf.core.nothing_of_that_name
    with pytest.raises(ImportError):
        importlib.import_module("pushforward.data.nothing_of_that_name")


def test_a_flow_put_together_by_hand_in_the_version_before_is_read() -> None:
    flow = pf.load(OLD / "hand_made.flow").model
    x = torch.tensor([[0.5, -1.0], [0.0, 0.0]])
    assert flow.log_prob(x).tolist() == pytest.approx([-2.4425768852233887, -2.082422971725464], rel=1e-6)


def test_a_model_of_a_table_from_the_version_before_is_read() -> None:
    saved = pf.load(OLD / "table.flow")
    rows = saved.schema.encode(pf.tables.read_table(OLD / "rows.csv"))
    torch.manual_seed(0)
    mean = saved.model.eval().log_prob(torch.as_tensor(rows)).mean().item()
    assert mean == pytest.approx(-5.39, abs=1.0)


def test_an_archive_from_the_version_before_is_read() -> None:
    pictures = np.load(OLD / "pics.npy")
    saved = pf.load(OLD / "pics.flow")
    with Archive(OLD / "pics.pfz", saved.model, spec=saved.spec.to_dict()) as archive:
        assert len(archive.names) == len(pictures)
        assert all(np.array_equal(archive.picture(i, 0), p.transpose(1, 2, 0)) for i, p in enumerate(pictures))
