"""Faults of `pushforward/transforms/contractive.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "residual: log-determinant of the Jacobian alone",
        "residual-0",
        [("Residual._jacobian", "basis + columns.permute(1, 2, 0)", "columns.permute(1, 2, 0)")],
    ),
    Mutant(
        "residual: alternating signs forgotten",
        "residual-1|residual-2",
        [("Residual._coefficient", "(-1) ** (k + 1)", "1")],
    ),
    Mutant(
        "residual: signs of the roulette's further terms",
        "residual-through-all-terms",
        [
            (
                "Residual._weights",
                "(self._coefficient(first + j) / stay ** (j - 1) for j in range(1, count + 1))",
                "(-self._coefficient(first + j) / stay ** (j - 1) for j in range(1, count + 1))",
            )
        ],
    ),
    Mutant(
        "residual: roulette with other odds than its weights",
        "residual-through-all-terms",
        [("Residual._weights", "torch.empty(()).geometric_(1 - stay)", "torch.empty(()).geometric_(stay)")],
    ),
    Mutant(
        "residual: inverse stops early",
        "residual-0",
        [("Residual._relative", "16 * torch.finfo(z.dtype).eps / (1 - self.lipschitz)", "0.0001")],
    ),
    Mutant(
        "residual: gradient of the inverse is that of one step",
        "residual-0",
        [("_Solution.backward", "_neumann(a, pull, ctx.layer)", "a")],
    ),
    Mutant("residual: implicit rule with the wrong sign", "residual-0", [("_Solution.backward", "-u", "u")]),
    Mutant(
        "residual: series without 1 / k",
        "residual-1|residual-2",
        [
            (
                "Residual._weights",
                "[self._coefficient(k) for k in range(1, first + 1)]",
                "[k * self._coefficient(k) for k in range(1, first + 1)]",
            )
        ],
    ),
    Mutant(
        "residual: an estimate is called exact",
        "residual-1|residual-2",
        [
            (
                "Residual.own",
                "Exactness.NOISY if self.logdet == 'roulette' else Exactness.NOISY | Exactness.LOWER | Exactness.UPPER",
                "Exactness.EXACT",
            )
        ],
    ),
]
