"""Faults of `pushforward/transforms/local_maps.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "local maps: D and not D - 1 times the slope across",
        "^tabak-turner-0$",
        [("LocalMaps._log_slopes", "self.x_space.size - 1", "self.x_space.size")],
    ),
    Mutant(
        "local maps: an axis counts as a radius",
        "^tabak-turner-1$",
        [("LocalMaps._log_slopes", "0 if self.axis is not None else self.x_space.size - 1", "self.x_space.size - 1")],
    ),
    Mutant(
        "local maps: standardisation without its volume",
        "^tabak-turner-0$",
        [
            ("LocalMaps.forward", "self._nothing(x) - self.log_scale.sum()", "self._nothing(x)"),
            ("LocalMaps.inverse", "self._nothing(z) + self.log_scale.sum()", "self._nothing(z)"),
        ],
    ),
    Mutant(
        "local maps: inverse stretches instead of shrinking",
        "^tabak-turner-0$",
        [("LocalMaps.inverse", "b * h / (1 + b * h)", "b * h")],
    ),
    Mutant(
        "local maps: width ignored on the way back",
        "^tabak-turner-1$",
        [
            (
                "LocalMaps.inverse",
                "torch.linalg.vector_norm(moved, dim=-1) / a",
                "torch.linalg.vector_norm(moved, dim=-1)",
            )
        ],
    ),
]
