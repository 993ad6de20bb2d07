"""Command `report` for pictures: the choice of pictures, their scores, samples, and nearest training pictures."""

from __future__ import annotations

import datetime
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evaluation.held_out import Holdout
from ..evaluation.picture_bits import independent_bits
from ..pictures import ImageSet
from ..report.picture_page import PictureReport, build_picture_report
from .console import Terminal, bits_text
from .picture_output import as_bytes, completed

if TYPE_CHECKING:
    from .trained_pictures import TrainedPictures


def picture_report(
    trained: TrainedPictures, title: str | None, seed: int, terminal: Terminal, *, baselines: bool
) -> tuple[str, str, dict[str, Any]]:
    """Return a page about the held-out pictures, or about all pictures if the model was fitted to others, and their score.

    Returns:
        The page as HTML, the score as text, and the score as plain values.
    """
    fitted, held, what, choice = _choose_pictures(trained)
    terminal.tell(choice)
    trained.part = held
    log_prob = trained.log_likelihoods(1, seed)
    bits = trained.bits(log_prob)
    others: list[dict[str, Any]] = []
    if baselines and fitted is not None:
        others.append({"name": "independent pixels", "value": independent_bits(fitted, held)})
    if baselines:
        others.append({"name": "uniform", "value": float(np.log2(trained.spec.levels))})
    shown = held.take(np.arange(trained.default_samples) % len(held)).given
    x = trained.draw(trained.default_samples, trained.classes_for(None, trained.default_samples), seed, given=shown)
    rule = trained.rule
    samples = completed(as_bytes(x, trained.spec.levels), rule, shown)
    name = os.path.basename(os.path.normpath(trained.source))
    page = PictureReport(
        title=title or name,
        system=trained.system,
        paper=trained.spec.paper,
        spec=trained.spec.to_dict(),
        training=trained.training,
        levels=trained.spec.levels,
        held_out=completed(held.images, rule, held.given),
        samples=samples,
        trained_on=None if fitted is None else completed(fitted.images, rule, fitted.given),
        columns=trained.columns,
        log_prob=log_prob,
        bits=bits,
        files=held.files,
        baselines={entry["name"]: entry["value"] for entry in others},
        settings={
            "model": trained.path,
            "pictures": trained.source,
            "held out": choice,
            "seed": seed,
            "samples": len(x),
        },
        versions=trained.training.get("versions", {}),
        created=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
    )
    record = {"rows": what, **asdict(bits), "baselines": others}
    return build_picture_report(page), bits_text(trained.system, record), record


def _choose_pictures(trained: TrainedPictures) -> tuple[ImageSet | None, ImageSet, str, str]:
    """Return the training pictures if they are known, the pictures to score, the name of their part, and a sentence."""
    parts, source, data = trained.parts, trained.source, trained.data
    holdout = Holdout.of(trained.training)
    name = os.path.basename(os.path.normpath(source))
    if holdout is None or data.get("tiles") or (name, holdout.rows) != (data.get("name"), len(parts.train)):
        known = f"the {len(trained.part):,} {'test ' if trained.what == 'test' else ''}pictures of {source} are used"
        return None, trained.part, trained.what, f"{source} is not what the model was fitted to; {known}"
    rows = holdout.parts("pictures")
    fitted = parts.train.take(rows.train)
    test = parts.train.take(rows.test) if len(rows.test) else parts.test
    valid = parts.train.take(rows.validation) if len(rows.validation) else parts.valid
    for what, held in (("test", test), ("validation", valid)):
        if held is not None:
            sentence = f"the model was fitted to {source}, so its {len(held):,} {what} pictures are used"
            return fitted, held, what, sentence
    sentence = f"no pictures of {source} were held out, so its score is that of the training pictures"
    return fitted, fitted, "all", sentence
