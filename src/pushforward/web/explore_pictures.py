"""Answers to the questions of the page about a model of pictures: facts, samples, and pictures between two samples."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..core import Flow
from ..errors import DataError, SpecError, brief
from ..evaluation import decode, draw, encode, interpolate
from ..systems.picture_spec import PictureSpec
from ..training.random_state import isolated
from .questions import Body, estimate_text, real_number, require_known, whole_number

MOST_PICTURES = 64
"""Pictures in a grid."""
MOST_STEPS = 16
"""Pictures in a strip between two samples."""
HOTTEST = 2.0
"""Highest temperature."""
SYMBOLS = {"=": "exact", "<=": "an upper bound", ">=": "a lower bound", "~": "an estimate"}
"""Meaning of the symbols of bits per dimension."""


class PictureExplorer:
    """A model of pictures, and the samples that the page shows.

    Args:
        model: The model, in evaluation mode.
        spec: Spec of its system.
        training: Record of the training.
        path: File of the model.
        seed: Seed of the draws, to which the seed of each question is added.
    """

    page: ClassVar[str] = "pictures"
    """Name of the files of the page."""

    def __init__(self, model: Flow, spec: PictureSpec, training: Mapping[str, Any], path: str, seed: int = 0) -> None:
        self.model, self.spec, self.training, self.path, self.seed = model, spec, training, path, seed
        self.drawn: Tensor | None = None
        self.classes: list[int] = []

    @property
    def questions(self) -> dict[str, Callable[[Body], Any]]:
        """The questions of the page by name."""
        return {"summary": self.summary, "draw": self.draw, "between": self.between}

    def summary(self, body: Body) -> dict[str, Any]:
        """Return the model's facts, its classes, and whether a temperature can be chosen."""
        require_known(body)
        data = self.training.get("data", {})
        names = list(data.get("classes", ())) or [str(i) for i in range(self.spec.classes)]
        scores = self.training.get("scores")
        score = ""
        if isinstance(scores, Mapping) and "value" in scores:
            value = estimate_text(scores["value"], scores["error"])
            score = f"{value} bits per dimension of {scores['events']:,} {scores['rows']} pictures"
            score += f", {SYMBOLS[scores['symbol']]}; lower is better."
        channels, height, width = self.spec.shape
        return {
            "title": os.path.basename(self.path) or "A model of pictures",
            "lead": f"Pictures of {height} x {width} with {channels} channel{'s' if channels > 1 else ''} ({self.spec.name}).",
            "score": score,
            "classes": names[: self.spec.classes],
            "temperature": self._takes_temperature(),
            "most": MOST_PICTURES,
        }

    def _takes_temperature(self) -> bool:
        try:
            with isolated(self.model.device, self.seed):
                draw(self.model, 1, self._context([0]), temperature=0.5)
        except SpecError:
            return False
        return True

    def draw(self, body: Body) -> dict[str, Any]:
        """Return new pictures, and keep them for `between`.

        Args:
            body: "n", "seed", "temperature", and "class": the number of a class; null for all in turn.

        Raises:
            FlowError: A number is out of range, or the model takes no temperature.
        """
        require_known(body, "n", "seed", "temperature", "class")
        count = whole_number(body, "n", 32, 1, MOST_PICTURES)
        seed = (self.seed + whole_number(body, "seed", 0, 0, 2**31 - 1)) % 2**63
        temperature = real_number(body, "temperature", 1.0, 0.0, HOTTEST)
        classes = [i % max(1, self.spec.classes) for i in range(count)]
        if body.get("class") is not None:
            if not self.spec.classes:
                raise DataError(f"expected no class for a model without classes, got {brief(body['class'])}")
            classes = [whole_number(body, "class", 0, 0, self.spec.classes - 1)] * count
        with isolated(self.model.device, seed):
            self.drawn = draw(self.model, count, self._context(classes), temperature=temperature)
        self.classes = classes if self.spec.classes else []
        return {"pictures": self._encoded(self.drawn), "classes": self.classes}

    def between(self, body: Body) -> dict[str, Any]:
        """Return pictures on the way from one sample to another in the latent space.

        Args:
            body: "a" and "b", the numbers of two samples of the last grid from 0, and "steps".

        Raises:
            FlowError: A number is out of range, or the two are of different classes.
        """
        require_known(body, "a", "b", "steps")
        if self.drawn is None:
            raise DataError("expected samples before pictures between two of them, got none; draw some")
        ends = [whole_number(body, name, 0, 0, len(self.drawn) - 1) for name in ("a", "b")]
        steps = whole_number(body, "steps", 9, 2, MOST_STEPS)
        classes = [self.classes[end] for end in ends] if self.classes else [0]
        if len(set(classes)) > 1:
            raise DataError("expected two pictures of one class, got different ones; choose a class and draw again")
        context = self._context(classes[:1])
        with isolated(self.model.device, self.seed):
            codes = [encode(self.model, self.drawn[end : end + 1], context) for end in ends]
            x = decode(self.model, interpolate(codes[0], codes[1], steps), None if context is None else context[0])
        return {"pictures": self._encoded(x)}

    def _context(self, classes: list[int]) -> Tensor | None:
        if not self.spec.classes:
            return None
        codes = torch.nn.functional.one_hot(torch.tensor(classes), self.spec.classes)
        return codes.to(self.model.device, self.model.dtype)

    def _encoded(self, x: Tensor) -> dict[str, Any]:
        """Return pictures (N, C, H, W) as bytes 0 ... 255, row by row and with the channels last, in base64."""
        top = self.spec.levels - 1
        pixels = (x.detach().clamp(0, top).double() * (255 / top)).round().to(torch.uint8).cpu()
        pixels = pixels[:, :3] if pixels.shape[1] >= 3 else pixels[:, :1]
        count, channels, height, width = pixels.shape
        text = base64.b64encode(pixels.permute(0, 2, 3, 1).contiguous().numpy().tobytes()).decode("ascii")
        return {"bytes": text, "count": count, "channels": channels, "height": height, "width": width}
