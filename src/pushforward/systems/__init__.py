"""Published systems, one file each. Importing this package finds and registers all of them.

Third-party systems register through the entry-point group `pushforward.systems`.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from importlib.metadata import entry_points

from .spec import Spec

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
for _point in entry_points(group="pushforward.systems"):
    try:
        _point.load()
    except Exception as _error:
        warnings.warn(
            f"the system {_point.name!r} of another package is left out, because {_point.value} cannot be imported: {_error}",
            RuntimeWarning,
            stacklevel=2,
        )

from .autoencoder import vae  # noqa: E402, F401

__all__ = sorted(cls.__name__ for cls in Spec.registry.values())
globals().update({cls.__name__: cls for cls in Spec.registry.values()})
