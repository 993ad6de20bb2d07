"""Faults of `pushforward/transforms/hamiltonian.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "leapfrog: a whole step of momenta at the end",
        "^leapfrog$",
        [("Leapfrog._run", "(s if i + 1 < self.steps else s / 2) * value", "s * value")],
    ),
    Mutant(
        "leapfrog: back in time without turning the momenta",
        "^leapfrog$|^underdamped$",
        [
            ("Leapfrog.forward", "self._run(at, -v, context)", "self._run(at, v, context)"),
            ("Leapfrog.forward", "[at, -v]", "[at, v]"),
        ],
    ),
    Mutant(
        "tempering: one coordinate's volume",
        "^tempering$|^underdamped$",
        [
            ("Tempering.forward", "-self.size * self.log_factor", "-self.log_factor"),
            ("Tempering.inverse", "(self.size * self.log_factor).expand", "self.log_factor.expand"),
        ],
    ),
    Mutant(
        "refresh: variance not kept", "^refresh$", [("Refresh.forward", "(1 - keep.square()).sqrt()", "(1 - keep)")]
    ),
    Mutant(
        "refresh: ratio turned round",
        "^underdamped$",
        [("Refresh.forward", "new.square() - v.square()", "v.square() - new.square()")],
    ),
    Mutant("Metropolis: term turned round", "^metropolis$", [("Metropolis.forward", "(z, -gain)", "(z, gain)")]),
    Mutant(
        "Metropolis: everything is taken",
        "^metropolis$",
        [("Metropolis.propose", "torch.rand_like(energy).log() < energy", "torch.rand_like(energy) < 2")],
    ),
    Mutant(
        "Metropolis: noise undeclared",
        "^metropolis$",
        [("Metropolis.own", "Exactness.NOISY | Exactness.LOWER", "Exactness.EXACT")],
    ),
]
