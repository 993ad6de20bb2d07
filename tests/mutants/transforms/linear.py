"""Faults of `pushforward/transforms/linear.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("permutation not undone", "permutation", [("Permutation.inverse", ":, self.back", ":, self.order")]),
    Mutant(
        "diagonal contributes one scale only",
        "nice-0|diagonal",
        [
            ("Diagonal.forward", "self.log_scale.sum()", "self.log_scale[0]"),
            ("Diagonal.inverse", "self.log_scale.sum()", "self.log_scale[0]"),
        ],
    ),
    Mutant("LU log-determinant dropped, both ways", "lu|nsf-0", [("LU._volume", "self.positions", "0")]),
    Mutant(
        "LU of channels counted once",
        "lu-channels",
        [("LU._volume", "(self.positions * self.log_diagonal.sum())", "self.log_diagonal.sum()")],
    ),
    Mutant("LU product transposed", "lu", [("LU.forward", "lower @ upper", "(lower @ upper).mT")]),
    Mutant("LU inverse keeps the bias", "lu", [("LU.inverse", "(z - self.bias).mT", "z.mT")]),
    Mutant(
        "1 x 1 convolution counted once",
        "linear-channels",
        [
            (
                "Linear._volume",
                "(self.positions * torch.linalg.slogdet(self.weight.double())[1]).to",
                "torch.linalg.slogdet(self.weight.double())[1].to",
            )
        ],
    ),
    Mutant(
        "linear: transposed on the way back",
        "linear$",
        [
            (
                "Linear.inverse",
                "torch.linalg.inv(self.weight.double()).to",
                "torch.linalg.inv(self.weight.double()).mT.to",
            )
        ],
    ),
    Mutant("LU: rows not put back in order", "lu-rotation", [("LU.inverse", "self.order.argsort()", "self.order")]),
    Mutant(
        "Haar: neither orthogonal nor of volume one, both ways",
        "haar",
        [
            ("Haar.__init__", "0.5 * torch", "torch"),
            ("Haar.inverse", "torch.einsum", "0.25 * torch.einsum"),
        ],
    ),
    Mutant("Haar: two equal rows", "haar", [("Haar.__init__", "[1, -1, -1, 1]", "[1, 1, -1, -1]")]),
    Mutant(
        "orthogonal matrix not orthogonal",
        "orthogonal",
        [("Orthogonal.matrix", "skew - skew.mT", "skew + 0 * skew.mT")],
    ),
]
