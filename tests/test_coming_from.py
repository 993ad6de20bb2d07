"""Every line of code in the tables of docs/coming-from.md runs."""

import re
from pathlib import Path

import pytest
import torch

import pushforward as pf
from pushforward import core, distributions, networks, objectives, systems, transforms
from pushforward.core import Box, Real, Simplex

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "coming-from.md").read_text()
NAMES = {
    "torch": torch,
    "pf": pf,
    "core": core,
    "d": distributions,
    "networks": networks,
    "objectives": objectives,
    "systems": systems,
    "t": transforms,
    "Box": Box,
    "Real": Real,
    "Simplex": Simplex,
    "x3": Real((3,)),
}
TABLES = {
    library: re.findall(r"^\| (`.+`) \| `(.+)` \|$", part, re.MULTILINE)
    for library, part in re.findall(r"^## (\w+)\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    if library != "What"
}


@pytest.mark.parametrize("library", TABLES)
def test_every_line_runs(library):
    """Each line makes a layer, a distribution, a network, an objective or a class of them."""
    for theirs, code in TABLES[library]:
        made = eval(code, dict(NAMES))
        kinds = (torch.nn.Module, transforms.LayerGraph, type)
        assert isinstance(made, kinds), (theirs, code)


def test_there_is_a_table_for_each_library():
    """Seven libraries, and no class of one twice."""
    assert set(TABLES) == {"zuko", "nflows", "normflows", "FrEIA", "FlowJAX", "Pyro", "torchflows"}
    for library, rows in TABLES.items():
        names = [name for theirs, _ in rows for name in re.findall(r"`([^`]+)`", theirs)]
        assert len(names) == len(set(names)), library
        assert len(names) > 30, library
