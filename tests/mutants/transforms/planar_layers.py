"""Faults of `pushforward/transforms/planar_layers.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "planar: log-determinant doubled, both ways",
        "^planar$",
        [
            ("Planar.forward", "torch.log1p", "2 * torch.log1p"),
            ("Planar.inverse", "torch.log1p", "2 * torch.log1p"),
        ],
    ),
    Mutant(
        "planar: derivative of tanh left out, both ways",
        "^planar$",
        [
            ("Planar.forward", "1 - t.square()", "1 - t"),
            ("Planar.inverse", "1 - t.square()", "1 - t"),
        ],
    ),
    Mutant("planar: u is not moved", "^planar$", [("Planar._made", "u + (slope - product) / square * w", "u")]),
    Mutant(
        "planar: w not divided by its square",
        "^planar$",
        [("Planar._made", "(slope - product) / square * w", "(slope - product) * w")],
    ),
    Mutant(
        "planar: inverse leaves b out",
        "^planar$",
        [("Planar.inverse", "torch.linalg.vecdot(w, z) + b", "torch.linalg.vecdot(w, z)")],
    ),
    Mutant(
        "radial: D and not D - 1 times the tangential slope",
        "^radial$",
        [("Radial._log_slopes", "(self.x_space.size - 1) * torch.log1p", "self.x_space.size * torch.log1p")],
    ),
    Mutant("radial: radial slope without alpha", "^radial$", [("Radial._log_slopes", "alpha * beta", "beta")]),
    Mutant("radial: wrong root", "^radial$", [("Radial.inverse", "alpha * rational_root", "rational_root")]),
]
