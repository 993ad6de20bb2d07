"""Faults of `pushforward/transforms/stochastic.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "dequantise: number of levels missing, both ways",
        "dequantise",
        [
            (
                "Dequantise.inverse",
                "self.noise._log_prob(y - level, self._given(x)) + self._volume()",
                "self.noise._log_prob(y - level, self._given(x))",
            ),
            ("Dequantise.forward", "-log_q - self._volume()", "-log_q"),
        ],
    ),
    Mutant(
        "dequantise: noise undeclared",
        "dequantise$",
        [("Dequantise.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
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
