"""Runs that are damaged, doubled, ended from outside, or short of disk: one clear sentence, and nothing is lost."""

import contextlib
import errno
import io
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from pushforward.cli.main import main
from pushforward.errors import FileError, FlowError
from pushforward.output import atomic_output, only_writer
from pushforward.systems import MAF
from pushforward.terminal import json_shown, shown, shown_in_line, write_data
from pushforward.training import fit
from pushforward.training.checkpoint import load_checkpoint, save_checkpoint

QUICK = {"epochs": 2, "batch_size": 32, "progress": False}
TINY = ["--flow", "maf", "--layers", "1", "--hidden", "4", "--no-baselines", "--batch-size", "32"]


def small():
    torch.manual_seed(0)
    return MAF(features=2, layers=1, hidden=(4,)).build()


def rows():
    return torch.randn(64, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "c"
    fit(small(), rows(), checkpoint=path, **QUICK)
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    values = np.random.default_rng(0).normal(size=(64, 2))
    path.write_text("a,b\n" + "".join(f"{x},{y}\n" for x, y in values))
    return path


def start(*arguments, **options):
    command = [sys.executable, "-m", "pushforward", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)


def wait_for_epoch(process):
    return next(line for line in process.stderr if line.startswith("epoch 1/"))


# --- checkpoints ----------------------------------------------------------------------------------------------------------


def test_every_flipped_bit_of_a_checkpoint_is_refused(saved, tmp_path):
    whole, path = saved.read_bytes(), tmp_path / "c"
    draws = random.Random(0)
    for place in [*range(0, 400, 7), *draws.sample(range(8 * len(whole)), 300)]:
        changed = bytearray(whole)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(FileError, match="training checkpoint"):
            load_checkpoint(path)


def test_checkpoints_without_a_checksum_are_still_read(saved, tmp_path):
    old = tmp_path / "old"
    state = load_checkpoint(saved)
    torch.save({**state, "version": 2}, old)
    assert fit(small(), rows(), resume=old, **{**QUICK, "epochs": 3}).epochs == 3
    torch.save(state, old)
    with pytest.raises(FileError, match="version 2"):
        load_checkpoint(old)


DAMAGE = {
    "no moments": lambda s: s["optimiser"]["state"][0].pop("exp_avg"),
    "moments of another shape": lambda s: s["optimiser"]["state"][0].update(exp_avg=torch.zeros(7)),
    "moments of no parameter": lambda s: s["optimiser"]["state"].update({99: s["optimiser"]["state"][0]}),
    "other groups": lambda s: s["optimiser"].update(param_groups=[]),
    "a rate that is text": lambda s: s["optimiser"]["param_groups"][0].update(lr="fast"),
    "average is text": lambda s: s.update(average="x"),
    "average of less": lambda s: s["average"].popitem(),
    "best of another shape": lambda s: s["best"].update({next(iter(s["best"])): torch.zeros(1)}),
    "history is a number": lambda s: s["position"].update(history=3),
    "history without scores": lambda s: s["position"].update(history=[{}, {}]),
    "epoch is text": lambda s: s["position"].update(epoch="2"),
    "epoch is huge": lambda s: s["position"].update(epoch=10**30),
    "negative batch": lambda s: s["position"].update(batch=-1),
    "no random state": lambda s: s["random"].clear(),
    "random state of noise": lambda s: s["random"].update(cpu=torch.full_like(s["random"]["cpu"], 255)),
    "data is a tensor": lambda s: s.update(data=torch.zeros(3)),
    "options are a tensor": lambda s: s["config"].update(lr=torch.zeros(3)),
    "weights are numbers": lambda s: s.update(weights=3),
    "version is a tensor": lambda s: s.update(version=torch.zeros(2)),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_signed_checkpoint_with_a_strange_content_is_one_sentence(saved, tmp_path, case):
    state, path = load_checkpoint(saved), tmp_path / "c"
    DAMAGE[case](state)
    save_checkpoint(path, state)
    with pytest.raises(FlowError) as error:
        fit(small(), rows(), resume=path, **{**QUICK, "epochs": 3})
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_packed_checkpoint_is_not_unpacked(tmp_path):
    import zipfile

    path = tmp_path / "c"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x00" * 10**7)
    with pytest.raises(FileError, match="truncated or foreign"):
        load_checkpoint(path)


# --- two runs, one file ---------------------------------------------------------------------------------------------------


def test_one_run_at_a_time_has_a_path(tmp_path):
    path = tmp_path / "c"
    with only_writer(path):
        with pytest.raises(FileError, match="another run"):
            fit(small(), rows(), checkpoint=path, **QUICK)
        with pytest.raises(FileError, match="another run"), only_writer(path):
            pass
        with only_writer(tmp_path / "other"):
            pass
    assert os.listdir(tmp_path) == []
    fit(small(), rows(), checkpoint=path, **QUICK)
    assert os.listdir(tmp_path) == ["c"]


def test_a_second_run_with_the_same_out_is_refused_until_the_first_is_killed(table, tmp_path, capsys):
    out = tmp_path / "m.flow"
    with start("fit", table, "--out", out, *TINY, "--epochs", 10**6, "--patience", 0) as first:
        try:
            wait_for_epoch(first)
            (tmp_path / ".m.flow.0123456789abcdef.tmp").write_text("left by a killed process")
            for other in (["--out", out], ["--out", tmp_path / "n.flow", "--checkpoint", f"{out}.checkpoint"]):
                assert main(["fit", str(table), *map(str, other), *TINY, "--epochs", "1"]) == 1
                assert "another run" in capsys.readouterr().err
        finally:
            first.kill()
    again = ["--resume", f"{out}.checkpoint"]
    assert main(["fit", str(table), "--out", str(out), *TINY, "--epochs", "1", "--patience", "0", *again]) == 0
    assert os.listdir(tmp_path) == ["m.flow"]


def test_writers_of_one_path_have_files_of_their_own(tmp_path):
    path = tmp_path / ("n" * 240)
    with atomic_output(path) as one, atomic_output(path) as two:
        assert one != two
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


# --- signals and streams --------------------------------------------------------------------------------------------------


def test_sigterm_saves_and_says_where(table, tmp_path):
    out = tmp_path / "m.flow"
    with start("fit", table, "--out", out, *TINY, "--epochs", 10**6, "--patience", 0) as run:
        wait_for_epoch(run)
        run.send_signal(signal.SIGTERM)
        last = run.stderr.read().splitlines()
        assert run.wait(timeout=60) == 143
    assert f"go on with the same command and --resume {out}.checkpoint" in last[-1]
    assert load_checkpoint(f"{out}.checkpoint")["position"]["epoch"] >= 2


def test_sigterm_in_a_program_ends_training_as_ctrl_c_does(tmp_path):
    def end(record):
        os.kill(os.getpid(), signal.SIGTERM)

    result = fit(small(), rows(), checkpoint=tmp_path / "c", callbacks=[end], **QUICK)
    assert (result.stopped, result.signal) == ("interrupted", signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert load_checkpoint(tmp_path / "c")["position"]["epoch"] == 2


@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("{python} systems nice >&-", 0, ""),
        ("{python} systems --json nice >&-", 1, "standard output cannot be written: it is closed"),
        ("{python} systems nice 2>&-", 0, ""),
        ("{python} systems nice 2>/dev/full", 0, ""),
        ("{python} systems nic 2>/dev/full", 2, ""),
        ("{python} systems nice >/dev/full", 1, "standard output cannot be written: no space left on device"),
        ("{python} fit - --out {tmp}/m.flow <&-", 1, "standard input that is closed"),
    ],
)
def test_closed_and_full_streams(tmp_path, shell, code, words):
    command = shell.format(python=f"{sys.executable} -m pushforward", tmp=tmp_path)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1 if words else 0), done.stderr
    assert words in done.stderr


class Narrow(io.RawIOBase):
    """A file that takes ten bytes in one write, and `room` bytes in all: what Python has for a stream without a buffer."""

    def __init__(self, room):
        self.taken, self.room = b"", room

    def writable(self):
        return True

    def write(self, data):
        part = bytes(data[: min(10, self.room - len(self.taken))])
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.taken += part
        return len(part)


@pytest.mark.parametrize("room", [1000, 95])
def test_streams_without_a_buffer_get_all_or_an_error(monkeypatch, room):
    raw = Narrow(room)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "utf-8", write_through=True))
    with pytest.raises(FileError, match="no space left") if room < 100 else contextlib.nullcontext():
        write_data("0123456789" * 10)
    assert raw.taken.decode() == ("0123456789" * 10)[:room]


def test_a_full_disk_is_named_and_the_metrics_do_not_end_the_run(tmp_path, caplog):
    """A limit on the size of files acts as a disk that is full; both are errors of writing."""
    path, metrics = tmp_path / "c", tmp_path / "m"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(FileError, match=f"{path} cannot be written: file too large"):
            fit(small(), rows(), checkpoint=path, **QUICK)
        assert os.listdir(tmp_path) == []
        result = fit(small(), rows(), metrics=metrics, **{**QUICK, "epochs": 12})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (result.stopped, result.epochs) == ("converged", 12)
    assert metrics.stat().st_size == 1000
    assert caplog.text.count("training continues without it") == 1


# --- what reaches the terminal --------------------------------------------------------------------------------------------


def test_control_characters_are_shown():
    assert shown("a\x1b[31mb\x9b\u202e\n\r\x00é") == "a\\x1b[31mb\\x9b\\u202e\n\\r\\x00é"
    assert shown_in_line("a\nb\tc") == "a\\nb\\tc"
    assert json_shown('{"\u202e": "\x9b"}') == '{"\\u202e": "\\x9b"}'.replace("\\x9b", "\\u009b")


def test_no_control_character_of_a_table_reaches_the_terminal(tmp_path, capsys):
    name = "\x1b]0;owned\x07\u202ea"
    lines = [f"{name},lab\x9bel", *(f"{0.1 * i},{('y', 'x' + chr(27) + '[2J')[i % 2]}" for i in range(40))]
    path, out = tmp_path / "t\x1b]1.csv", str(tmp_path / "m.flow")
    path.write_text("\n".join(lines) + "\n")
    codes = [
        main(["fit", str(path), "--out", out, *TINY, "--epochs", "1"]),
        main(["inspect", out]),
        main(["inspect", out, "--json"]),
        main(["score", out, str(path), "--top", "3"]),
        main(["score", out, str(path), "--json"]),
        main(["fit", str(path), "--out", out, "--drop", "\x1b[1m"]),
        main(["fit", str(path), "--out", out, "--set", "\u202e=1"]),
        main(["inspect", str(path)]),
    ]
    assert codes[:5] == [0] * 5
    assert 0 not in codes[5:]
    printed = "".join(capsys.readouterr())
    assert "\\x1b]0;owned" in printed
    assert not [c for c in printed if c in "\x1b\x07\x9b\u202e\x00\r"]


def test_no_time_is_spent_waiting_for_a_lock(tmp_path):
    with only_writer(tmp_path / "c"):
        began = time.monotonic()
        with pytest.raises(FileError), only_writer(tmp_path / "c"):
            pass
        assert time.monotonic() - began < 1


def test_samples_are_shown_on_a_terminal_and_unchanged_in_a_pipe(capsys, monkeypatch):
    write_data("a\x1b[31m,\u202e\n")
    assert capsys.readouterr().out == "a\x1b[31m,\u202e\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    write_data("a\x1b[31m,\u202e\n")
    assert capsys.readouterr().out == "a\\x1b[31m,\\u202e\n"
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(FileError, match="it is closed"):
        write_data("a\n")
