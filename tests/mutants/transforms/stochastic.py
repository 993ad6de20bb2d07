"""Faults of `pushforward/transforms/stochastic.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "dequantise: number of levels missing, both ways",
        "dequantise",
        [
            (
                "Dequantise.inverse",
                "self.noise._log_prob(y - level, self._given(x, context)) + self._volume()",
                "self.noise._log_prob(y - level, self._given(x, context))",
            ),
            ("Dequantise.forward", "-log_q - self._volume()", "-log_q"),
        ],
    ),
    Mutant(
        "dequantise: noise undeclared",
        "dequantise$",
        [("_Noisy.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
    ),
    Mutant(
        "dequantise: density of the noise dropped, both ways",
        "dequantise-by-a-flow",
        [
            ("Dequantise.forward", "-log_q - self._volume()", "-0 * log_q - self._volume()"),
            ("Dequantise.inverse", "self.noise", "0 * self.noise"),
        ],
    ),
    Mutant(
        "half-lines: bits exchanged",
        "half-lines",
        [("HalfLines.inverse", "(z > 0)", "(z < 0)")],
    ),
    Mutant(
        "half-lines: density of the noise dropped, both ways",
        "half-lines",
        [
            ("HalfLines.forward", "-log_q", "-0 * log_q"),
            ("HalfLines.inverse", "self.noise._log_prob", "0 * self.noise._log_prob"),
        ],
    ),
    Mutant(
        "half-lines: noise undeclared",
        "half-lines",
        [("_Noisy.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
    ),
    Mutant(
        "VAE: encoder's density dropped, both ways",
        "^vae$",
        [
            ("Stochastic.forward", "log_p - log_q", "log_p"),
            ("Stochastic.inverse", "- log_p", "* 0 - log_p"),
        ],
    ),
    Mutant(
        "VAE: noise undeclared", "^vae$", [("Stochastic.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")]
    ),
    Mutant(
        "augment: density of the noise left out, both ways",
        "^annealed-langevin$|^underdamped$",
        [
            ("Augment.forward", "-log_q", "0 * log_q"),
            ("Augment.inverse", "self.noise", "0 * self.noise"),
        ],
    ),
]
