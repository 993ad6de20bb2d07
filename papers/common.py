"""What the reproductions share: where the data are, how a result is written down."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

import pushforward

HERE = Path(__file__).resolve().parent


def data(name: str) -> np.lib.npyio.NpzFile:
    """An .npz file of the folder that the environment variable PUSHFORWARD_DATA names."""
    folder = os.environ.get("PUSHFORWARD_DATA")
    if not folder:
        sys.exit(f"set PUSHFORWARD_DATA to the folder that holds {name}")
    path = Path(folder) / name
    if not path.exists():
        sys.exit(f"{name} is not in the folder that PUSHFORWARD_DATA names")
    return np.load(path, allow_pickle=False)


def write(name: str, title: str, body: str, started: float) -> None:
    """Print a result and keep it in papers/results/NAME.md, with its command, machine and versions."""
    command = "python " + " ".join(shlex.quote(a) for a in [f"papers/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    if os.environ.get("PUSHFORWARD_DATA"):
        command = f"PUSHFORWARD_DATA=... {command}"
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s); Python "
        f"{platform.python_version()}, torch {torch.__version__}, pushforward {pushforward.__version__}"
    )
    text = f"## {title}\n\n{body.strip()}\n\n`{command}` · {(time.time() - started) / 60:.0f} min · {machine}\n"
    print(text)
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text)


def known(name: str) -> dict[str, Any]:
    """What runs so far have kept in papers/results/NAME.json."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def keep(name: str, *keys: str, value: Any) -> None:
    """Put a value where the keys lead in papers/results/NAME.json.

    The file is read anew under a lock, so that several processes may run.
    """
    path = HERE / "results" / f"{name}.json"
    with FileLock(path.with_suffix(".lock")):
        everything = place = known(name)
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = value
        path.write_text(json.dumps(everything, indent=1) + "\n")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def mean_and_spread(values: list[float]) -> str:
    """Mean and, with more than one value, the deviation between them."""
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"
