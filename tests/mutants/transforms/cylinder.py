"""Faults of `pushforward/transforms/cylinder.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "cylinder: exponents shifted",
        "^cylinder",
        [("Cylinder._half_powers", "torch.arange(self.x_space.size - 2,", "1 + torch.arange(self.x_space.size - 2,")],
    ),
    Mutant(
        "cylinder: exponents not halved",
        "^cylinder-5$",
        [("Cylinder._half_powers", "device=like.device) / 2", "device=like.device)")],
    ),
    Mutant(
        "cylinder: sign of dlogp, both ways",
        "^cylinder-5$",
        [
            ("Cylinder.forward", "-self._half_powers(x)", "self._half_powers(x)"),
            ("Cylinder.inverse", "self._half_powers(z) @", "-self._half_powers(z) @"),
        ],
    ),
    Mutant(
        "cylinder: heights relative to the whole length",
        "^cylinder-5$",
        [("Cylinder.forward", "squares[:, 2:].rsqrt()", "squares[:, -1:].rsqrt()")],
    ),
    Mutant(
        "cylinder: width of a height without its root",
        "^cylinder$",
        [("Cylinder.inverse", "roots = widths.sqrt()", "roots = widths")],
    ),
    Mutant(
        "cylinder: angle of the wrong coordinates",
        "^cylinder$",
        [("Cylinder.inverse", "[z[:, 0].cos(), z[:, 0].sin()]", "[z[:, 0].sin(), z[:, 0].cos()]")],
    ),
]
