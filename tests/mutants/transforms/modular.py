"""Faults of `pushforward/transforms/modular.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "modular: inverse of the scale left out",
        "discrete-2|modular-coupling",
        [("Modular.forward", "inverse * (places - m)", "s * (places - m)")],
    ),
    Mutant(
        "modular: shift before the scale on the way back",
        "discrete-0|modular-autoregressive",
        [("Modular.inverse", "s * places + m", "s * (places + m)")],
    ),
    Mutant(
        "modular: one modulus for all labels",
        "discrete-1|modular-coupling",
        [
            (
                "Modular._inside",
                "torch.where(places < modulus, index.remainder(modulus), places)",
                "index.remainder(self.width)",
            )
        ],
    ),
    Mutant(
        "modular: scales with a common divisor allowed",
        "modular-coupling|modular-autoregressive|discrete-1",
        [("Modular._steer", "p[..., width:].masked_fill(table < 0, -torch.inf)", "p[..., width:]")],
    ),
    Mutant(
        "modular: no gradient for the shift",
        "modular-tables|discrete-4",
        [
            (
                "Modular.forward",
                "_gradient(shift.gather(-1, self._inside(places - s * label, modulus)))",
                "0 * _gradient(shift.gather(-1, self._inside(places - s * label, modulus)))",
            )
        ],
    ),
    Mutant("modular: no gradient for the labels", "discrete-4", [("Modular.forward", "x.gather", "x.detach().gather")]),
    Mutant(
        "modular with a spurious volume",
        "discrete-0",
        [
            ("Modular.forward", "x.new_zeros(x.shape[:-1])", "x.new_zeros(x.shape[:-1]) + 0.1"),
            ("Modular.inverse", "z.new_zeros(z.shape[:-1])", "z.new_zeros(z.shape[:-1]) - 0.1"),
        ],
    ),
    Mutant(
        "modular: cost of zero of the opposite shift",
        "modular-tables|modular-coupling",
        [("Modular.cost_of_zero", "(-self._scaled(x))", "self._scaled(x)")],
    ),
    Mutant(
        "modular: probabilities of the scales left out",
        "modular-coupling",
        [("Modular.cost_of_zero", "log_p + scale", "log_p")],
    ),
    Mutant(
        "modular: expected cost of the opposite shift",
        "modular-tables",
        [("Modular.expected_cost", "places[:, None] + self._scaled(x)", "self._scaled(x) - places[:, None]")],
    ),
    Mutant(
        "modular: entropy of the shifts left out",
        "modular-tables",
        [("Modular.expected_cost", "(cost[..., 0] + shift)", "cost[..., 0]")],
    ),
    Mutant(
        "modular: entropies without their weight",
        "modular-coupling",
        [("Modular.expected_cost", "min(self.temperature, 1.0) * negentropy", "negentropy")],
    ),
    Mutant(
        "modular: shifts of other labels have a probability",
        "modular-coupling",
        [("Modular._choices", "places >= self._moduli(p)", "places >= self.width")],
    ),
]
