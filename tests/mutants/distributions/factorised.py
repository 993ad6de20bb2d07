"""Faults of `pushforward/distributions/factorised.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "normal: constant missing",
        "normal$|realnvp-0",
        [("Normal._log_prob", " - 0.5 * math.log(2 * math.pi) * self.space.size", "")],
    ),
    Mutant("normal: draws too wide", "^normal$", [("Normal._draw", "torch.randn", "1.2 * torch.randn")]),
    Mutant(
        "logistic: one tail only",
        "^logistic$|nice-0",
        [("Logistic._element", "F.logsigmoid(x) + F.logsigmoid(-x)", "2 * F.logsigmoid(x)")],
    ),
    Mutant(
        "logit of Beta: parameters exchanged",
        "^logit-beta$",
        [("LogitBeta._draw", "(self.a, self.b)", "(self.b, self.a)")],
    ),
    Mutant(
        "Student t: exponent v / 2",
        "student-t",
        [("StudentT._element", "constant - (v + 1) / 2 *", "constant - v / 2 *")],
    ),
    Mutant("Student t: draws with the wrong degrees of freedom", "student-t", [("StudentT._draw", "v / 2", "v")]),
    Mutant(
        "uniform: volume of one coordinate missing", "^uniform$", [("Uniform._element", "-math.log(self.width)", "0.0")]
    ),
    Mutant(
        "sampler ignores the model's dtype",
        "^normal$",
        [
            (
                "Normal._draw",
                "torch.randn(shape, dtype=self.zero.dtype, device=self.zero.device)",
                "torch.randn(shape, device=self.zero.device)",
            )
        ],
    ),
]
