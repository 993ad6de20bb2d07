"""Run sbi's own tests/density_estimator_test.py on this library's flows.

    python benchmarks/external/run_sbi_tests.py CHECKOUT [pytest options]

CHECKOUT is a checkout of sbi (sbi-dev/sbi on GitHub); sbi, pytest and pytest-harvest are installed. Before the test file is
imported, the fourteen builders in its list of density estimators are replaced by builders of this library's systems,
wrapped in sbi's own `ZukoFlow`; the ids say which. Only tests that use one of them are run: the others (mixed
estimators, TabPFN, sbi's own builders and trainers) are about other parts of sbi.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sbi.neural_nets import net_builders
from sbi.neural_nets.estimators.zuko_flow import ZukoFlow
from sbi.utils.sbiutils import standardizing_net
from torch import Tensor, nn
from zuko_interface import LazyFlow

import pushforward as pf
from pushforward.transforms import Standardise

SLOTS: dict[str, tuple[str, dict[str, Any]]] = {
    "build_made": ("made", {}),
    "build_mdn": ("made", {"hidden": (32, 32, 32)}),
    "build_maf": ("maf", {}),
    "build_maf_rqs": ("nsf", {"linear": False}),
    "build_nsf": ("nsf", {}),
    "build_zuko_bpf": ("nsf", {"bins": 16}),
    "build_zuko_gf": ("iaf", {}),
    "build_zuko_maf": ("maf", {"batch_norm": True}),
    "build_zuko_naf": ("realnvp", {}),
    "build_zuko_ncsf": ("realnvp", {"mask": "random"}),
    "build_zuko_nice": ("nice", {}),
    "build_zuko_nsf": ("nsf", {"structure": "coupling"}),
    "build_zuko_sospf": ("realnvp", {"mask": "alternating"}),
    "build_zuko_unaf": ("realnvp", {"batch_norm": True}),
}
"""Name in sbi's list -> system and options that take its place."""


def builder(name: str, options: dict[str, Any]) -> Callable[..., ZukoFlow]:
    """A function with the signature of sbi's builders that builds one of this library's systems."""

    def build(
        batch_x: Tensor,
        batch_y: Tensor,
        z_score_y: str = "independent",
        embedding_net: nn.Module | None = None,
        **_: Any,
    ) -> ZukoFlow:
        embedding = nn.Identity() if embedding_net is None else embedding_net
        with torch.no_grad():
            condition = embedding(batch_y[:1]).numel()
        flow = pf.build(name, features=batch_x[0].numel(), context=condition, **options)
        flow = pf.Flow(pf.Chain(Standardise(flow.space), flow.chain), flow.base)
        standardise = standardizing_net(batch_y, structured_dims=z_score_y == "structured")
        with torch.no_grad():
            pf.initialise(flow, batch_x, embedding(standardise(batch_y)))
        for p in flow.parameters():
            p.data.add_(0.1 * torch.randn_like(p))
        return ZukoFlow(
            LazyFlow(flow), nn.Sequential(standardise, embedding), batch_x[0].shape, batch_y[0].shape
        ).eval()

    build.__name__ = "_".join([name, *(f"{key}_{value}" for key, value in options.items())])
    return build


class OnlyOurs:
    """A pytest plugin that drops the tests which use none of the builders."""

    def __init__(self, builders: list[Callable[..., ZukoFlow]]) -> None:
        self.builders = builders

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep an item if one of its parameters is one of the builders."""
        kept, dropped = [], []
        for item in items:
            values = item.callspec.params.values() if hasattr(item, "callspec") else ()
            (kept if any(value in self.builders for value in values if callable(value)) else dropped).append(item)
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def main(arguments: list[str]) -> int:
    """Run pytest on the checkout's test file."""
    if not arguments or not Path(arguments[0], "tests", "density_estimator_test.py").exists():
        print(__doc__, file=sys.stderr)
        return 2
    builders = {name: builder(*slot) for name, slot in SLOTS.items()}
    for name, build in builders.items():
        setattr(net_builders, name, build)
    os.chdir(arguments[0])
    # sbi's own options start workers, which would not see the builders
    options = ["-p", "no:cacheprovider", "-o", "addopts=", *arguments[1:]]
    return int(pytest.main(["tests/density_estimator_test.py", *options], plugins=[OnlyOurs(list(builders.values()))]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
