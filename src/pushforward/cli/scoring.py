"""Commands `score`, `sample` and `report`, for models of every kind of data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..output import atomic_output, require_writable
from ..tables import write_table
from ..tables.formats import SUFFIXES
from .console import Terminal
from .options import MachineOptions, ReadOptions, ReportOptions, SampleOptions, ScoreOptions, UsageError
from .task import TrainedModel, require_suffix, start


def score(
    kind: type[TrainedModel],
    path: str,
    source: str,
    options: ScoreOptions,
    reading: ReadOptions,
    machine: MachineOptions,
) -> int:
    """Score rows, write the scores, list the least likely rows, and print a summary."""
    terminal = Terminal(quiet=machine.quiet, json=options.json)
    kind.check_score(path, options)
    out, top = options.out, options.top
    if kind.prints_scores and out is None and top == 0 and not options.json:
        out = "-"
    _require_score_output(out, top, [path, source], json=options.json)
    trained = kind.open(path, start(machine))
    trained.given_with(options.condition)
    trained.prepare(source, options.drop, reading)
    if options.exactly:
        trained.solve_exactly()
    log_prob = trained.log_likelihoods(options.samples, machine.seed)
    if out is not None:
        write_table(trained.score_table(log_prob, options, machine.seed), out)
    least = np.argsort(log_prob, kind="stable")[:top]
    if top and not options.json:
        terminal.show(trained.least_likely(log_prob, least, terminal.width), aside=out == "-")
    for line in trained.summary(log_prob, options.samples) if not terminal.quiet else ():
        terminal.tell(line)
    if options.json:
        terminal.dump(trained.score_record(log_prob, least, options.samples))
    elif out not in (None, "-"):
        terminal.tell(f"wrote {out}")
    return 0


def _require_score_output(out: str | None, top: int, inputs: Sequence[str], *, json: bool) -> None:
    if top < 0:
        raise UsageError(f"expected --top to be a number from 0, got {top}")
    if json and out == "-":
        raise UsageError("--json and --out - both write to standard output; give a file with --out")
    if out is not None:
        require_suffix(out, "--out", SUFFIXES)
        require_writable(out, "--out", inputs)


def sample(kind: type[TrainedModel], path: str, options: SampleOptions, machine: MachineOptions) -> int:
    """Draw samples and write them to a file or to standard output."""
    kind.check_sample(path, options)
    kind.check_frames(path, options)
    trained = kind.open(path, start(machine))
    trained.given_with(options.condition)
    count = trained.default_samples if options.rows is None else options.rows
    trained.sample(count, options, machine.seed, Terminal(quiet=machine.quiet))
    return 0


def report(
    kind: type[TrainedModel],
    path: str,
    source: str,
    options: ReportOptions,
    reading: ReadOptions,
    machine: MachineOptions,
) -> int:
    """Score held-out data, draw samples, compare both, and write an HTML page."""
    require_writable(options.out, "--out", [path, source])
    terminal = Terminal(quiet=machine.quiet, json=options.json)
    kind.check_report(path, options)
    trained = kind.open(path, start(machine))
    trained.given_with(options.condition)
    trained.prepare(source, options.drop, reading)
    page, text, record = trained.report(options.title, machine.seed, terminal, baselines=options.baselines)
    if options.constants:
        found = trained.constants(machine.seed)
        text += f"\n  {found.sentence}"
        record["constants"] = {"upper": found.upper, "lower": found.lower, "events": len(found.forward)}
    with atomic_output(options.out) as temporary:
        temporary.write_text(page, encoding="utf-8")
    terminal.conclude(text, {"report": options.out, "model": path, "system": trained.system, "scores": record})
    terminal.tell(f"wrote {options.out}")
    return 0
