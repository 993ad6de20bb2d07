"""Constant-memory training: peak of activations and time, 64 coupling layers against 8, by way of `benchmarks.memory`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch

from ..results import Cell, Entry
from ..timing import Clock, Plan, Say, in_turns, labelled
from ..work import VECTORS

SIZE = VECTORS["43"]
NAMES = {"realnvp": "realnvp", "nsf coupling": "nsf-coupling"}
"""What `benchmarks.memory` calls the systems, and what they are called here."""


def constant_memory(systems: Sequence[str] | None, plan: Plan, device: torch.device, say: Say) -> Iterator[Cell]:
    """A cell for each system: for each way of training the time at 64 layers over ordinary training's, and in `extra` how
    much the peak grows from 8 to 64 layers.

    Args:
        systems: names from `work.SYSTEMS`, or None for all.
        plan: how much is measured.
        device: where; nothing is measured on a GPU.
        say: told what is going on.
    """
    if device.type != "cpu":
        return
    from pushforward.core.memory import set_memory

    from ...memory import DEPTHS, MODES, Trained, models

    few, many = DEPTHS
    options = argparse.Namespace(features=SIZE.features, width=SIZE.width)
    x = torch.randn(SIZE.batch, SIZE.features, generator=torch.Generator().manual_seed(0))
    for title, make in models(options):
        if systems is not None and NAMES[title] not in systems:
            continue
        label = labelled(say, f"constant memory, {title}")
        label("peaks")
        trained = {depth: Trained(make(depth), x) for depth in DEPTHS}
        peaks = {}
        for depth, one in trained.items():
            for mode in MODES:
                set_memory(one.model, mode)
                peaks[depth, mode] = one.peak()

        def step(mode: Any, one: Trained = trained[many]) -> None:
            set_memory(one.model, mode)
            one.step()

        timed, _ = in_turns({str(mode): partial(step, mode) for mode in MODES}, "store", plan, Clock(device), label)
        cell = Cell((NAMES[title], SIZE.name), "store")
        for mode in MODES:
            extra = {
                "growth": peaks[many, mode] / peaks[few, mode],
                "few": peaks[few, mode] / 2**20,
                "many": peaks[many, mode] / 2**20,
            }
            cell.entries[mode] = Entry(timed[mode].relative, "", extra)
        yield cell
