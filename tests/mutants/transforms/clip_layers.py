"""Faults of `pushforward/transforms/clip_layers.py`."""

from ..mutant import Mutant

SCORED = "-sum_events(log_scale)"

MUTANTS = [
    Mutant(
        "each frame: frames and rows exchanged",
        "^each-frame$",
        [("EachFrame._pictures", "movedim(2, 1)", "movedim(2, 0)")],
    ),
    Mutant(
        "each frame: the mean of the terms for their sum, both ways",
        "^each-frame$",
        [("EachFrame._clip", ".sum(1)", ".mean(1)")],
    ),
    Mutant(
        "innovations: the frame before is not added when drawing",
        "^innovations$",
        [
            (
                "Innovations.inverse",
                "mean + log_scale.exp() * z[:, :, t:t + 1]",
                "mean - past[:, :, -1:] + log_scale.exp() * z[:, :, t:t + 1]",
            )
        ],
    ),
    Mutant(
        "innovations: the scale is not scored, both ways",
        "^innovations$",
        [
            ("Innovations.forward", SCORED, "-0 * sum_events(log_scale)"),
            ("Innovations.inverse", "sum_events(torch.cat(scales, 2))", "0 * sum_events(torch.cat(scales, 2))"),
        ],
    ),
    Mutant(
        "innovations: the scale is forgotten, both ways",
        "^innovations$",
        [
            ("Innovations.forward", "(x - mean) * (-log_scale).exp()", "x - mean"),
            ("Innovations.inverse", "mean + log_scale.exp() * z[:, :, :alone]", "mean + z[:, :, :alone]"),
            ("Innovations.inverse", "mean + log_scale.exp() * z[:, :, t:t + 1]", "mean + z[:, :, t:t + 1]"),
        ],
    ),
    Mutant(
        "innovations: the frame itself for the one before",
        "^innovations$",
        [("Innovations.forward", "x[:, :, :-1]", "x[:, :, 1:]")],
    ),
    Mutant(
        "innovations: windows end a frame too late",
        "innovations-of-two-frames-before",
        [("Innovations._next", "first = past.shape[2] - count", "first = past.shape[2] - count - (count > 1)")],
    ),
    Mutant(
        "innovations: zeros stand behind the frames",
        "innovations-of-two-frames-before",
        [("Innovations._next", "(0, 0, 0, 0, 0, 0, self.memory - 1, 0)", "(0, 0, 0, 0, 0, 0, 0, self.memory - 1)")],
    ),
    Mutant(
        "innovations: the coarse latents of the frame before",
        "innovations-given-pictures",
        [("Innovations.forward", "slice(1, None)", "slice(None, -1)")],
    ),
    Mutant(
        "innovations: the coarse latents of another frame when drawing",
        "innovations-given-pictures",
        [("Innovations.inverse", "slice(t, t + 1)", "slice(t - 1, t)")],
    ),
    Mutant(
        "innovations: frames and rows exchanged in what is given",
        "innovations-given-pictures",
        [("Innovations._next", "given.movedim(2, 1)", "given.movedim(2, 0)")],
    ),
]
