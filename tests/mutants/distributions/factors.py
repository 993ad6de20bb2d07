"""Faults of `pushforward/distributions/factors.py`."""

from ..mutant import Mutant

MUTANTS = [
    Mutant("bits: sign of the logit", "made-3|nade-1", [("BernoulliFactor.log_prob", "2 * x - 1", "1 - 2 * x")]),
    Mutant(
        "bits: drawn with the opposite probability",
        "made-3|nade-1",
        [("BernoulliFactor.draw", "[F.logsigmoid(-p), F.logsigmoid(p)]", "[F.logsigmoid(p), F.logsigmoid(-p)]")],
    ),
    Mutant(
        "labels that a column lacks get mass",
        "autoregressive-categorical",
        [
            (
                "CategoricalFactor.normalised",
                "logits.masked_fill(~allowed, -torch.inf).log_softmax",
                "logits.log_softmax",
            )
        ],
    ),
    Mutant(
        "labels: softmax left out",
        "autoregressive-categorical",
        [("CategoricalFactor.log_prob", "logp.gather", "p.gather")],
    ),
    Mutant(
        "mixture: constant of the Gaussian",
        "rnade-0|autoregressive-gaussians",
        [("MixtureFactor.each", "math.log(2 * math.pi)", "math.log(math.pi)")],
    ),
    Mutant(
        "mixture: constant of the Laplace distribution",
        "autoregressive-laplacians|rnade-1",
        [("MixtureFactor.each", "- math.log(2.0) - log_scales", "- log_scales")],
    ),
    Mutant(
        "mixture: logistic tails of one side",
        "rnade-2",
        [("MixtureFactor.each", "F.logsigmoid(u) + F.logsigmoid(-u)", "2 * F.logsigmoid(u)")],
    ),
    Mutant(
        "mixture factor: weights not normalised",
        "rnade-0|autoregressive-gaussians",
        [("MixtureFactor.parts", "weights.log_softmax(-1)", "weights")],
    ),
    Mutant(
        "mixture: Laplace noise of the wrong scale",
        "autoregressive-laplacians",
        [("MixtureFactor._noise", "torch.log1p(-centred.abs())", "2 * torch.log1p(-centred.abs())")],
    ),
    Mutant(
        "pixels: channels independent when scored",
        "autoregressive-colours",
        [("LogisticLevelsFactor.log_prob", "self._channel(c, scaled, *parts)", "self._channel(c, 0 * scaled, *parts)")],
    ),
    Mutant(
        "pixels: components not weighed by earlier channels when drawn",
        "autoregressive-colours",
        [("LogisticLevelsFactor.draw", "log_weights + each[", "log_weights + 0 * each[")],
    ),
]
