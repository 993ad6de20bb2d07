"""Digits 8 x 8: multi-scale RealNVP beside the same flow with competing couplings, of equal size, in bits per dimension."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import partial

import torch
from common import keep, known, mean_and_spread, table, write
from equal_size import parameters, sized
from pictures import LEVELS, digits, score, train
from torch import nn

from pushforward.core import Distribution, Real, Space, Transform
from pushforward.networks import ResNet
from pushforward.objectives import ManySamples
from pushforward.systems import ImageRealNVP
from pushforward.systems.spec import Spec
from pushforward.transforms import ActNorm, WinnerCoupling, checkerboard_mask, half_mask

BUDGET = 80_000
"""Parameters of both models, within 5 %."""


@dataclass(frozen=True, kw_only=True)
class CompetingRealNVP(ImageRealNVP, register=False):
    """Multi-scale RealNVP with two competing experts for all channels of a position."""

    def _couplings(self, shaped: Space, count: int, *, by_position: bool) -> list[Transform]:
        space = Real(shaped.shape)
        channels, height, width = space.shape
        network = partial(ResNet, hidden=self.hidden, blocks=self.blocks)
        layers: list[Transform] = []
        for i in range(count):
            mask = (
                checkerboard_mask(height, width, flip=i % 2 == 1)
                if by_position
                else half_mask(channels, flip=i % 2 == 1)
            )
            block = channels if by_position else channels - channels // 2 if i % 2 == 0 else channels // 2
            layers.append(WinnerCoupling(space, mask, 2, network, block=block, spread=0.5))  # type: ignore[arg-type]
            layers.append(ActNorm(space, channels=True))
        return layers

    def loss(self, model: Distribution) -> nn.Module:
        """Return the evidence bound of two samples."""
        return ManySamples(model, samples=2)


def plain(width: int) -> Spec:
    """RealNVP."""
    return ImageRealNVP(shape=(1, 8, 8), levels=LEVELS, hidden=width, blocks=1)


def competing(width: int) -> Spec:
    """The same with competing couplings."""
    return CompetingRealNVP(shape=(1, 8, 8), levels=LEVELS, hidden=width, blocks=1)


MODELS = {"affine couplings": plain, "competing couplings": competing}


def main() -> None:
    """Train, score and print the table of all that was ever run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    parts = digits()
    for name, make in MODELS.items():
        spec = sized(make, BUDGET)
        for seed in options.seeds:
            begin = time.process_time()
            model = train(spec, parts, seed, epochs=options.epochs)
            found = {"one": score(model, parts[2]).value, "many": score(model, parts[2], 64).value}
            found |= {"parameters": parameters(model), "seconds": time.process_time() - begin}
            print(name, seed, found, flush=True)
            keep("lwta_digits", name, str(seed), value=found)
    rows = []
    for name, seeds in known("lwta_digits").items():
        runs = list(seeds.values())
        one, many = (mean_and_spread([r[key] for r in runs]) for key in ("one", "many"))
        rows.append(
            [name, f"{runs[0]['parameters']:,}", one, many, f"{sum(r['seconds'] for r in runs) / len(runs):.0f}"]
        )
    body = (
        f"Test bits per dimension, at most; mean and deviation of the seeds. {options.epochs} epochs, stopped by validation rows. Each position of a "
        "picture has one winner of two experts, trained with the evidence bound of two samples.\n\n"
        + table(["model", "parameters", "one draw", "64 draws", "seconds"], rows)
    )
    write("lwta_digits", "Digits with competing couplings", body, started)


if __name__ == "__main__":
    main()
