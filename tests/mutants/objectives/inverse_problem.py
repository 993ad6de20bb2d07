"""Faults of `pushforward/objectives/inverse_problem.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant(
        "inverse problem: observations are not detached",
        "^inn-0$",
        [("LatentDiscrepancy.term", "fit.detach()", "fit")],
    ),
    Mutant(
        "inverse problem: the latent loss leaves out the observations",
        "^inn-0$",
        [("LatentDiscrepancy.term", "torch.cat([fit.detach(), latent], 1)", "torch.cat([pair.y, latent], 1)")],
    ),
    Mutant(
        "inverse problem: draws without noise",
        "^inn-0$",
        [("BothWays.drawn", "self.y + self.layer.noise * y", "self.y")],
    ),
    Mutant(
        "inverse problem: padding of the outputs is not fitted",
        "^inn-1$",
        [("Padding.term", "pair.outputs[2], ", "0 * pair.outputs[2], ")],
    ),
    Mutant(
        "inverse problem: the weight of the backward loss does not rise",
        "^inn-0$",
        [("InverseProblem.share", "0.002 ** (1 - self.seen / self.ramp)", "0.5 ** torch.ones(())")],
    ),
    Mutant(
        "inverse problem: reconstruction from the output instead of the observation",
        "^inn-0$",
        [("Reconstruction.term", "pair.y + pair.layer", "pair.outputs[0] + pair.layer")],
    ),
    Mutant(
        "inverse problem: reconstruction without noise of z",
        "^inn-0$",
        [("Reconstruction.term", "self.noise", "0.0")],
    ),
]
