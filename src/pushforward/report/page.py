"""Report on a model of a table as one HTML page: the model, its score beside simple densities, and its failures."""

from __future__ import annotations

import importlib.resources
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import DataError
from ..evaluation import BaselineScore, TwoSampleScore
from ..evaluation.impossible import ValueCheck
from ..tables.table import atomic_output
from . import marginals as columns
from . import sections
from .curved_plots import AngleColumn, curved_plots
from .path_plot import Paths, path_plot
from .tail_plots import tails

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """Contents of the report, as plain arrays and dictionaries.

    Args:
        title: Title of the page, for example the name of the table.
        system: Name of the fitted system.
        paper: Publication of the system.
        spec: Arguments of the system.
        training: Record of the training, `FitResult.to_dict()`; empty if there is none.
        exactness: Relation of log p(x) to the reported numbers: "=", ">=", "<=" or "~".
        exactness_note: Sentence about the exactness; empty for the usual sentence.
        kinds: Kind of each column, by name, in the order of the table: "continuous", "integer", "categorical" or "constant".
        held_out: Values (N,) of each column in rows that were not used in training, by name.
        samples: Values (M,) of each column in samples of the model, by name.
        log_prob: Log-likelihoods (N,) of the held-out rows, in nats.
        rows: Names or numbers (N,) of the held-out rows; None for 0, 1, ...
        latents: Latent codes (N, D) of the held-out rows, whose base distribution is the standard normal; None for a system
            without such codes.
        baselines: Scores of simpler densities on the same held-out rows.
        paths: Paths of rows from the data to the noise, for continuous flows.
        two_sample: Score of a classifier that tells held-out rows from samples.
        copula_distances: Kolmogorov-Smirnov distances of the marginals of a copula from the uniform distribution; empty for
            other models.
        copula_draws: Number of draws of these distances.
        texts: Held-out values of columns as texts (N,), by name, for columns such as dates whose numbers mean little.
        value_checks: Checks for impossible values in the samples.
        circles: Columns of angles that belong to no position.
        positions: Names of the latitude and the longitude of each position.
        settings: Other facts of the run, such as the name of the data, the seed and options.
        versions: Version of each library, by name.
        created: Date and time, as text.
        note: Sentence at the top of the page, for example a remark that the rows were used to choose when to stop.

    Raises:
        DataError: Lengths or columns do not fit together.
    """

    title: str
    system: str
    kinds: Mapping[str, str]
    held_out: Mapping[str, Array]
    samples: Mapping[str, Array]
    log_prob: Array
    paper: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    exactness: str = "="
    exactness_note: str = ""
    rows: Array | None = None
    latents: Array | None = None
    baselines: Sequence[BaselineScore] = ()
    paths: Paths | None = None
    two_sample: TwoSampleScore | None = None
    value_checks: Sequence[ValueCheck] = ()
    circles: Sequence[AngleColumn] = ()
    positions: Sequence[tuple[str, str]] = ()
    copula_distances: Sequence[float] = ()
    copula_draws: int = 20_000
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Check that the exactness, the lengths and the columns fit together."""
        if self.exactness not in sections.EXACTNESS:
            raise DataError(f"expected exactness to be one of {', '.join(sections.EXACTNESS)}, got {self.exactness!r}")
        log_prob = np.asarray(self.log_prob)
        if log_prob.ndim != 1 or len(log_prob) == 0 or np.isnan(log_prob).any():
            raise DataError(
                f"expected one log-likelihood for each held-out row and no NaN, got shape {log_prob.shape} "
                f"with {int(np.isnan(log_prob).sum())} NaN"
            )
        _same_length("held_out", self.held_out, self.kinds, len(log_prob))
        drawn = max((len(self.samples[name]) for name in self.kinds if name in self.samples), default=0)
        _same_length("samples", self.samples, self.kinds, drawn)
        if self.rows is not None and len(self.rows) != len(log_prob):
            raise DataError(f"expected names of {len(log_prob)} held-out rows, got {len(self.rows)}")
        for score in self.baselines:
            if not score.skipped and len(score.per_row) != len(log_prob):
                raise DataError(
                    f"expected baseline {score.name!r} on the same {len(log_prob)} rows, got {len(score.per_row)}"
                )


def build_report(inputs: ReportInputs) -> str:
    """Return the page as HTML, with all pictures and formulas inside; it loads no other file and runs no script.

    Args:
        inputs: Contents of the page.

    Returns:
        A complete HTML document.

    Raises:
        DataError: matplotlib, jinja2 or latex2mathml is not installed, or the latents are not finite.
    """
    log_prob = np.asarray(inputs.log_prob, dtype=np.float64)
    table = columns.column_table(inputs.kinds, inputs.held_out, inputs.samples)
    record = sections.training_record(inputs.training)
    normality = sections.latent(inputs.latents)
    likelihood = sections.likelihood(inputs.system, log_prob, inputs.baselines, inputs.exactness)
    return render(
        "template.html.j2",
        inputs=inputs,
        relation=sections.EXACTNESS[inputs.exactness][0],
        exactness_note=inputs.exactness_note or sections.EXACTNESS[inputs.exactness][1],
        verdict=sections.verdict(likelihood, inputs.two_sample, normality),
        figures=sections.key_figures(likelihood, inputs.two_sample, len(log_prob)),
        likelihood=likelihood,
        record=record,
        pairs=columns.pairs(inputs.kinds, inputs.held_out, inputs.samples),
        curved=curved_plots(inputs.circles, inputs.positions, inputs.held_out, inputs.samples),
        columns=table,
        tails=tails(inputs.kinds, inputs.held_out, inputs.samples),
        holes=any(row["missing"] for row in table),
        chance=columns.chance_distance(inputs.kinds, inputs.held_out, inputs.samples),
        labels=columns.labels(inputs.kinds, inputs.held_out, inputs.samples),
        normality=normality,
        paths=None if inputs.paths is None else path_plot(inputs.paths),
        two_sample=sections.two_sample(inputs.two_sample),
        impossible=sum(check.impossible for check in inputs.value_checks),
        unlikely=columns.least_likely(inputs.kinds, inputs.held_out, log_prob, inputs.rows, inputs.texts),
        made=sections.how_made(inputs.spec, inputs.training, inputs.settings, inputs.versions),
        formula=sections.formulas(),
    )


def render(template: str, **values: Any) -> str:
    """Return an HTML page from a template of this package.

    Args:
        template: Name of the template.
        values: Values of the variables in the template.

    Raises:
        DataError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise DataError("the report needs jinja2: pip install 'pushforward[plot]'") from None
    folder = importlib.resources.files(__package__)
    environment = Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_report(inputs: ReportInputs, path: str | os.PathLike[str]) -> None:
    """Write the page to a file; if writing fails, no incomplete file is left.

    Raises:
        FileError: The file cannot be written.
        DataError: A library is not installed, or the latents are not finite, see `build_report`.
    """
    page = build_report(inputs)
    with atomic_output(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _same_length(what: str, table: Mapping[str, Array], kinds: Mapping[str, str], rows: int) -> None:
    if not kinds:
        raise DataError("expected at least one column in kinds, got none")
    for name in kinds:
        if name not in table:
            raise DataError(f"expected a column {name!r} in {what}, got none of that name")
        if len(table[name]) != rows:
            raise DataError(f"expected {rows} values in column {name!r} of {what}, got {len(table[name])}")
    if rows == 0:
        raise DataError(f"expected at least one row in {what}, got none")
