"""Old names from the previous version: they work for one more version, with a warning that gives the new name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

ROOT = __name__.rpartition(".")[0]
PACKAGES = {
    "codec": ("compression",),
    "data": ("tables", "pictures"),
    "diagnostics": ("evaluation",),
    "inference": ("posteriors", "evaluation"),
}
"""Packages that were replaced; a name is looked up in each of the new ones."""
MODULES = {
    "codec.archive": "compression.archive",
    "codec.checking": "compression.checking",
    "codec.container": "compression.container",
    "codec.events": "compression.events",
    "codec.frames": "compression.frames",
    "codec.limits": "compression.allocation",
    "codec.manifest": "compression.manifest",
    "codec.names": "compression.file_names",
    "codec.rans": "compression.rans",
    "codec.sources": "compression.sources",
    "codec.tables": "compression.frequencies",
    "codec.tiles": "compression.tiles",
    "codec.workers": "compression.workers",
    "codec.writing": "compression.writing",
    "core.base": "core",
    "core.compose": "core",
    "core.spec": "systems.spec",
    "data.arrays": "tables.numpy_files",
    "data.coding": "tables.coding",
    "data.columns": "tables.column_layers",
    "data.crops": "pictures.crops",
    "data.datasets": "pictures.datasets",
    "data.described": "tables.column_json",
    "data.folders": "pictures.folders",
    "data.formats": "tables.formats",
    "data.images": "pictures.picture_sets",
    "data.limits": "tables.limits",
    "data.model": "tables.table_model",
    "data.names": "tables.column_names",
    "data.packed": "tables.unpacked_size",
    "data.pictures": "pictures.picture_files",
    "data.png": "pictures.png",
    "data.schema": "tables.schema",
    "data.space": "tables.row_space",
    "data.spreadsheet": "tables.formulas",
    "data.tables": "tables.table",
    "data.toy": "distributions.toy",
    "diagnostics.baselines": "evaluation.baselines",
    "diagnostics.calibration": "evaluation.calibration",
    "diagnostics.gaussian": "evaluation.gaussian_baseline",
    "diagnostics.mass": "evaluation.mass",
    "diagnostics.normality": "evaluation.normality",
    "diagnostics.paths": "evaluation.solver_checks",
    "diagnostics.two_sample": "evaluation.two_sample",
    "distributions.boundary": "core.torch_boundary",
    "distributions.piecewise": "random_variables.piecewise",
    "distributions.pushforward": "random_variables",
    "distributions.quadrature": "random_variables.expectations",
    "distributions.rebuild": "core.torch_recipe",
    "distributions.sums": "random_variables.sums",
    "distributions.symbols": "distributions.chance",
    "distributions.table": "random_variables.tabulated",
    "functional.derived": "functional.hand_gradients",
    "functional.images": "functional.squeezing",
    "functional.modular": "functional.modular_arithmetic",
    "inference.coverage": "posteriors.coverage",
    "inference.latent": "evaluation.latent",
    "inference.optimise": "posteriors.optimise",
    "inference.pathfinder": "posteriors.pathfinder",
    "inference.proposal": "posteriors.proposal",
    "inference.pyro": "posteriors.pyro",
    "inference.result": "posteriors.approximation",
    "inference.sbi": "posteriors.sbi",
    "inference.scores": "evaluation.scores",
    "inference.simulators": "posteriors.simulators",
    "inference.start": "posteriors.start",
    "inference.summary": "posteriors.summary_table",
    "inference.target": "posteriors.target",
    "inference.variational": "posteriors.variational",
    "inference.verdict": "posteriors.verdict",
    "inference.weights": "posteriors.importance_weights",
    "networks.causal": "networks.sequence",
    "networks.labels": "networks.label_networks",
    "networks.made": "networks.masked",
    "networks.precision": "networks.network",
    "systems.images": "systems.picture_spec",
    "systems.labels": "systems.label_spec",
    "training.diagnose": "training.nonfinite",
    "training.distributed": "training.parallel.processes",
    "training.loop": "training.fit",
    "training.moments": "training.parallel.batch_norm",
    "training.optimiser": "training.optimizer",
    "training.position": "training.progress_state",
    "training.precision": "training.mixed_precision",
    "training.rehearsal": "training.trial_step",
    "training.rng": "training.random_state",
    "training.sharding": "training.parallel.strategies",
    "training.state": "training.checkpoint_checks",
    "training.watch": "training.nonfinite",
    "training.weights": "training.model_weights",
    "transforms.boundary": "transforms.torch_transforms",
    "transforms.planar": "transforms.planar_layers",
    "transforms.residual": "transforms.contractive",
    "transforms.sylvester": "transforms.householder",
}
"""New names of modules, by their old names."""
NAMES = {
    ("core", "Spec"): "systems.spec.Spec",
    ("core", "build"): "systems.spec.build",
    ("core", "spec_from_dict"): "systems.spec.spec_from_dict",
    ("networks", "MADE"): "networks.MaskedMLP",
    ("random_variables", "Estimate"): "random_variables.Integral",
    ("random_variables", "Linear"): "random_variables.LinearCombination",
    ("random_variables", "Table"): "random_variables.DiscreteTable",
}
"""New names of objects, by their module and old name."""
CLASSES = {"MADE": "MaskedMLP"}
"""New names of classes in model files, by their old names."""


class _OldNames:
    """Finder and loader for the old names of modules; it has no base classes because importing those is slow."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module that has another name now."""
        root, _, name = fullname.partition(".")
        if root != ROOT or (name not in MODULES and name not in PACKAGES):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=name in PACKAGES)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module with the new name in the place of the old one."""
        name = module.__name__.partition(".")[2]
        if name in MODULES:
            _warn(module.__name__, f"{ROOT}.{MODULES[name]}")
            sys.modules[module.__name__] = importlib.import_module(f"{ROOT}.{MODULES[name]}")
            return
        _warn(module.__name__, " and ".join(f"{ROOT}.{new}" for new in PACKAGES[name]))
        module.__getattr__ = _found_in(PACKAGES[name])  # type: ignore[method-assign]


def _found_in(packages: Sequence[str]) -> Callable[[str], Any]:
    def found(name: str) -> Any:
        for package in packages:
            module = importlib.import_module(f"{ROOT}.{package}")
            if name in module.__all__:
                return getattr(module, name)
        raise AttributeError(name)

    return found


def old_names(package: str) -> Callable[[str], Any]:
    """Return a `__getattr__` for a module whose names were different in the previous version.

    Args:
        package: Name of the module, relative to the root package.
    """

    def find(name: str) -> Any:
        if f"{package}.{name}" in MODULES:
            return importlib.import_module(f"{ROOT}.{package}.{name}")
        if (package, name) not in NAMES:
            raise AttributeError(f"module '{ROOT}.{package}' has no attribute {name!r}")
        home, _, new = NAMES[package, name].rpartition(".")
        _warn(f"{ROOT}.{package}.{name}", f"{ROOT}.{home}.{new}")
        return getattr(importlib.import_module(f"{ROOT}.{home}"), new)

    return find


def install() -> None:
    """Register the finder that imports modules by their old names."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"{old} is {new} now; the old name will be removed in the next version", DeprecationWarning, stacklevel=3
    )
