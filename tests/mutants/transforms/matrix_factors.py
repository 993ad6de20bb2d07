"""Faults of `pushforward/transforms/matrix_factors.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("QR: channels counted once", "qr-channels", [("QR._volume", "self.positions * ", "")]),
    Mutant(
        "QR: the whole matrix instead of its triangle", "^qr$", [("QR._triangle", "self.upper.triu(1)", "self.upper")]
    ),
    Mutant("QR: inverse keeps the bias", "^qr$", [("QR.inverse", "z - _shifted(self.bias, z)", "z")]),
    Mutant("SVD: channels counted once", "svd-channels", [("SVD._volume", "self.positions * ", "")]),
    Mutant("SVD: scales not inverted", "^svd$", [("SVD.inverse", "(-self.log_scale).exp()", "self.log_scale.exp()")]),
    Mutant("SVD: factors in the wrong order", "^svd$", [("SVD.inverse", "self.v().mT", "self.u().mT")]),
    Mutant(
        "Woodbury: determinant without the identity",
        "^woodbury$",
        [
            (
                "_LowRank.small",
                "torch.eye(len(product), dtype=product.dtype, device=product.device) + product",
                "product",
            )
        ],
    ),
    Mutant(
        "Woodbury: inverse to first order",
        "^woodbury$",
        [("_LowRank.solve", "torch.linalg.solve(self.small(), self.v.double())", "self.v.double()")],
    ),
    Mutant(
        "Woodbury: positions counted once for all channels",
        "woodbury-positions",
        [("Woodbury._volume", "self.channels * ", "")],
    ),
    Mutant("Woodbury: channels counted once", "woodbury-positions", [("Woodbury._volume", "self.positions * ", "")]),
]
