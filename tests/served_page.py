"""A model of a small table with hostile names and labels, and a server of its page in a thread."""

import contextlib
import http.client
import json
import threading
import time

import numpy as np
import torch

from pushforward.evaluation.held_out import row_scores
from pushforward.evaluation.ranks import ScoreRanks
from pushforward.fitted_table import FittedTable
from pushforward.tables import infer_schema, table_from, table_model
from pushforward.web.explore import Explorer
from pushforward.web.server import address, listen, server

HOSTILE = "<script>document.title = 'hacked'</script>"
IMAGE = "<img src=x onerror=\"document.title = 'hacked'\">"
TOKEN = "a-token-of-the-tests"


def small_table(rows=200):
    """Numbers, whole numbers with gaps, dates, times of day, labels, a product, identifiers and a constant."""
    rng = np.random.default_rng(0)
    width = rng.normal(5, 1, rows).round(2)
    count = rng.integers(1, 9, rows)
    start = np.datetime64("2024-01-01") + rng.integers(0, 300, rows)
    clock = rng.integers(8, 20, rows) * np.timedelta64(3_600_000_000, "us")
    gaps = np.array([None if rng.random() < 0.1 else int(v) for v in rng.integers(0, 5, rows)], dtype=object)
    return table_from(
        {
            "width": width,
            HOSTILE: count,
            "day": start,
            "clock": clock,
            "gaps": gaps,
            "label": rng.choice([IMAGE, "=1+1", ""], rows).astype(object),
            "area": (width * count).round(4),
            "unit": np.array(["cm"] * rows, dtype=object),
        }
    )


def explorer(*, with_table=True, seed=0):
    """The page's answers for a small model that was not trained."""
    table = small_table()
    schema = infer_schema(table, leave_out=True)
    torch.manual_seed(seed)
    model = table_model(schema, "nsf", layers=1, hidden=8).eval()
    rows = schema.encode(table)
    scores = {
        "rows": "test", "count": 20, "symbol": ">=", "mean": -3.25, "standard_error": 0.5, "impossible": 0,
        "baselines": [
            {"name": IMAGE, "mean": -4.0, "standard_error": 0.5, "note": "", "gain": 0.75, "gain_standard_error": 0.1},
            {"name": "kernel density", "mean": None, "standard_error": None, "note": "skipped: gaps"},
        ],
        "baseline_rows": 180, "note": "",
    }  # fmt: skip
    training = {
        "scores": scores,
        "train_rows": 180,
        "quantiles": ScoreRanks.from_scores(row_scores(model, rows, 0)).to_list(),
    }
    fitted = FittedTable(model, training, path="folder/small.flow")
    return Explorer(fitted, fitted.read(table, name=f"folder/{HOSTILE.replace('/', '')}.csv") if with_table else None)


@contextlib.contextmanager
def served(explorer):
    """The address of a page while the block runs."""
    with listen() as listening:
        made = server(explorer, listening, TOKEN)
        thread = threading.Thread(target=made.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not made.started:
            time.sleep(0.005)
        try:
            yield address(listening, TOKEN)
        finally:
            made.should_exit = True
            thread.join(10)


class Client:
    """Requests to a page."""

    def __init__(self, url):
        self.port = int(url.split(":")[2].partition("/")[0])

    def request(self, method, path, body=None, token=TOKEN, **headers):
        """Status, headers and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            given["X-Token"] = token
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def ask(self, question, body=None):
        """The answer to a question, which has to be given."""
        status, _, text = self.request("POST", f"/api/{question}", json.dumps(body or {}))
        assert status == 200, text
        return json.loads(text)

    def refused(self, question, body, status=400):
        """The sentence with which a question is refused."""
        text = body if isinstance(body, (str, bytes)) else json.dumps(body)
        got, _, answer = self.request("POST", f"/api/{question}", text)
        assert got == status, answer
        found = json.loads(answer)
        assert set(found) == {"error"}
        assert "\n" not in found["error"]
        assert "Traceback" not in found["error"]
        return found["error"]
