"""A spline flow of zuko on a table, with a sensible training loop: Adam, early stopping on validation rows, the best weights.

Numbers are standardised by the training rows, and whole numbers get uniform noise. The one-hot code of the labels is the
context of the flow, and the labels themselves cost their smoothed frequencies.
"""

from __future__ import annotations

import copy
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pushforward as pf
from pushforward.evaluation.baselines import table_views

Array = np.ndarray[Any, np.dtype[Any]]
MOST_EPOCHS, PATIENCE, MOST_SECONDS = 600, 30, 240.0


def zuko_log_prob(table: pf.Table, seed: int = 0) -> Array | None:
    """Return the log-likelihood of each held-out row in the table's units; None without zuko, or without numbers."""
    try:
        from zuko.flows import NSF
    except ImportError:
        return None
    columns = {c.name: values for c, values in zip(table.schema.columns, table.encoded.T, strict=True)}
    kinds = {c.name: c.kind for c in table.schema.columns if c.kind != "constant"}
    parts = (table.parts.train, table.parts.validation, table.parts.held)
    views = [
        table_views(
            {n: v[parts[0]] for n, v in columns.items()}, {n: v[part] for n, v in columns.items()}, kinds, seed=seed
        )[1]
        for part in parts
    ]
    if views[0].values.shape[1] == 0 or any(np.isnan(view.values).any() for view in views):
        return None
    mean, scale = views[0].values.mean(0), views[0].values.std(0)
    x = [torch.tensor((view.values - mean) / scale).float() for view in views]
    given = [None if view.codes is None else torch.tensor(view.codes).float() for view in views]
    torch.manual_seed(seed)
    flow = NSF(x[0].shape[1], 0 if given[0] is None else given[0].shape[1], transforms=3, hidden_features=(128, 128))
    optimiser = torch.optim.AdamW(flow.parameters(), lr=1e-3, weight_decay=1e-5)

    def score(k: int) -> Tensor:
        return flow(None if given[k] is None else given[k]).log_prob(x[k])

    best, kept, since, began = -np.inf, copy.deepcopy(flow.state_dict()), 0, time.time()
    size = 64 if len(x[0]) < 5000 else 256
    for _ in range(MOST_EPOCHS):
        flow.train()
        for rows in torch.randperm(len(x[0])).split(size):
            c = None if given[0] is None else given[0][rows]
            loss = -flow(c).log_prob(x[0][rows]).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimiser.step()
        flow.eval()
        with torch.no_grad():
            now = float(score(1).mean())
        since += 1
        if now > best:
            best, kept, since = now, copy.deepcopy(flow.state_dict()), 0
        if since == PATIENCE or time.time() - began > MOST_SECONDS:
            break
    flow.load_state_dict(kept)
    with torch.no_grad():
        log_prob = score(2).double().numpy() - np.log(scale).sum()
    labels = views[2].log_prob_discrete
    return log_prob if labels is None else log_prob + labels
