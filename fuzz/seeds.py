"""Whole files to start from: tables, pictures, models, archives and checkpoints, all small, made once in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal

from pushforward.compression.sources import items_in, paths_in
from pushforward.compression.writing import compress
from pushforward.core import Chain, Flow, Inverse, Real
from pushforward.networks import MaskedMLP
from pushforward.serialize import save
from pushforward.systems import MAF
from pushforward.systems.spec import Spec
from pushforward.tables import infer_schema, read_table, table_model, write_table
from pushforward.tables.table import Table
from pushforward.training import fit
from pushforward.transforms import LU, Affine, Autoregressive, Coupling, RationalQuadratic

CSV_TEXT = "a,n,label,b\n" + "".join(f"{i / 7:.4f},{i % 5},{'xyz'[i % 3]},{i * i / 11:.3f}\n" for i in range(40))
TOML_TEXT = """[fit]
flow = "maf"
lr = 1e-3
epochs = 2
test = 0.2
drop = ["b"]
kind = {n = "integer", label = "categorical"}
set = {layers = 1, hidden = [4]}
baselines = false

[sample]
rows = 3
seed = 5
"""


def make(folder: Path) -> None:
    """Write every file that the fuzzers start from."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    (folder / "t.csv").write_text(CSV_TEXT)
    table = read_table(folder / "t.csv")
    for suffix in ("tsv", "parquet", "arrow", "jsonl", "npz"):
        write_table(table, folder / f"t.{suffix}")
    numbers = Table(("a", "b"), (table["a"], table["b"]))
    write_table(numbers, folder / "t.npy")
    (folder / "c.toml").write_text(TOML_TEXT)
    model = table_model(infer_schema(table), "maf", layers=1, hidden=(4,), label_hidden=(4,))
    record = _record(model, table, folder)
    save(folder / "table.flow", model, training=record)
    _pictures(folder)


def _record(model: torch.nn.Module, table: Table, folder: Path) -> dict[str, object]:
    """A short run, with its checkpoint, and the record that the command line would save."""
    rows = model.schema.encode(table)
    result = fit(model, rows, checkpoint=folder / "c.checkpoint", epochs=2, batch_size=16, progress=False)
    return {
        **result.to_dict(),
        "data": {"name": "t.csv", "rows": 40, "dropped": []},
        "split": {"rows": 40, "test": 0.1, "validation": 0.1, "seed": 0, "digest": "0"},
        "scores": {
            "rows": "test", "count": 4, "symbol": ">=", "mean": -3.2, "standard_error": 0.4, "impossible": 0,
            "baselines": [{"name": "normal", "mean": -4.0, "standard_error": 0.1, "note": "", "gain": 0.8, "gain_standard_error": 0.2}],
            "baseline_rows": 36, "note": "", "solver": None,
        },
        "versions": {"torch": "2"},
        "created": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip


def _pictures(folder: Path) -> None:
    from PIL import Image

    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (8, 8), dtype=np.uint8)
    colour = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for name, kind in (
        ("p.png", "PNG"),
        ("p.tif", "TIFF"),
        ("p.jpg", "JPEG"),
        ("p.bmp", "BMP"),
        ("p.gif", "GIF"),
        ("p.webp", "WEBP"),
    ):
        Image.fromarray(pixels if kind in ("PNG", "TIFF", "GIF") else colour).save(folder / name, format=kind)
    Image.fromarray(colour).convert("P").save(folder / "q.png")
    np.save(folder / "p.npy", draw.integers(0, 256, (3, 8, 8), dtype=np.uint8))
    np.savez(folder / "p.npz", x=draw.integers(0, 256, (3, 8, 8), dtype=np.uint8), y=np.array([0, 1, 0]))
    spec = next(Spec.registry["idf"].cases())
    model = spec.build().eval()
    save(folder / "idf.flow", model, spec=spec)
    source = folder / "i.npy"
    np.save(source, draw.integers(0, spec.levels, (20, *spec.shape), dtype=np.uint8))
    compress(
        os.fspath(folder / "a.pfz"),
        items_in(paths_in([os.fspath(source)]), spec.shape),
        model,
        spec=spec.to_dict(),
        model_name="idf.flow",
    )
    small = MAF(features=2, layers=1, hidden=(4,))
    save(folder / "system.flow", small.build(), spec=small)
    save(folder / "own.flow", _own_flow())


def _own_flow() -> Flow:
    """A flow put together by hand, of several kinds of parts."""
    space = Real((2,))
    made = MaskedMLP(2, 8, hidden=(4,), order=(1, 0))
    coupling = Coupling(Affine(), space, [True, False], nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2)))
    chain = Chain(LU(space), coupling, Inverse(Autoregressive(RationalQuadratic(3), space, made)))
    return Flow(chain, Normal(torch.zeros(2), torch.ones(2)))
