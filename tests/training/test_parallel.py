"""Several processes: the numbers of one, the ends of a run, and files that any number of processes can go on from.

Most runs are scenarios of distributed_worker.py: two processes go through all of them in one go, and each is compared here
with the same scenario in this process alone.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import distributed_worker as worker
import numpy as np
import pytest
import torch

import pushforward as pf
from pushforward.cli import main
from pushforward.errors import TrainingError
from pushforward.training import fit, interrupt
from pushforward.training.checkpoint import load_checkpoint
from pushforward.training.parallel import processes as distributed
from pushforward.training.parallel.processes import ProcessRanks

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
LIMIT = 300
SAME = ["ddp", "fsdp", "context"]
SAME_DEAR = [
    "fsdp_autoregressive",
    "fsdp_backwards",
    "fsdp_frozen",
    "pictures",
    "fsdp_pictures",
    "pictures_batch_norm",
    "one_row",
    "one_row_fsdp",
    "batch_norm",
    "start",
    "weights",
    "loader",
    "optimizer",
    "optimizer_fsdp",
    "unused",
    "compiled",
    "nonfinite",
    "patience",
]
OTHERS = [
    "one_clock",
    "interrupted",
    "files",
    "no_folder",
    "half_a_run",
    "second_half",
    "other_data",
    "other_options",
    "not_a_part",
    "fsdp_options",
    "broken",
]
OTHERS_DEAR = ["half", "other_batch_norm", "dropout", "half_a_run_fsdp", "second_half_fsdp", "random_halves"]


def torchrun(*arguments):
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *map(str, arguments)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def said(text):
    """The sentences of this library in what torchrun and its processes wrote."""
    return [line for line in text.splitlines() if line.startswith("pushforward: ")]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the scenarios write; the same one for all workers of a parallel run of the tests."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "scenarios"


@pytest.fixture(scope="module")
def shared(folder, request):
    """What each of two processes returned, for every scenario. One worker runs them, the others wait.

    The scenarios of dear tests run if such a test of this file is among the chosen ones.
    """
    names, log = [*SAME, *OTHERS], folder / "log"
    here = [item for item in request.session.items if item.path == request.path]
    if any(item.get_closest_marker("dear") and "shared" in item.fixturenames for item in here):
        # A process that is lost ends what the others can do, so `broken` stays the last one.
        names = [*SAME, *SAME_DEAR, *OTHERS_DEAR, *OTHERS]
    try:
        folder.mkdir()
    except FileExistsError:
        began = time.monotonic()
        while not log.exists() and time.monotonic() - began < LIMIT:
            time.sleep(0.1)
    else:
        worker.half_a_run(folder, "alone")
        command = torchrun(HERE / "distributed_worker.py", folder, *names)
        with (folder / "output").open("w") as output:
            done = subprocess.run(command, stdout=output, stderr=output, check=False, timeout=LIMIT, env=environment())
        log.write_text(f"{done.returncode}\n{(folder / 'output').read_text()}")
    assert log.read_text().startswith("0\n"), log.read_text()
    return {n: [torch.load(folder / f"{n}-{rank}.pt", weights_only=False) for rank in (0, 1)] for n in names}


def require_close(found, expected):
    assert found["weights"].keys() == expected["weights"].keys()
    for name, value in expected["weights"].items():
        torch.testing.assert_close(found["weights"][name], value, rtol=1e-5, atol=1e-5, msg=name)


# The numbers of one process


@pytest.mark.parametrize("name", [*SAME, *(pytest.param(name, marks=pytest.mark.dear) for name in SAME_DEAR)])
def test_two_processes_learn_what_one_does(shared, tmp_path, name):
    alone = getattr(worker, name)(tmp_path)
    for found in shared[name]:
        require_close(found, alone)
        for key in ("ended", "classes", "device"):
            assert found[key] == alone[key], key
        for record, other in zip(found["history"], alone["history"], strict=True):
            known = {key: value for key, value in other.items() if value is not None}
            assert {key: record[key] for key in known} == pytest.approx(known, rel=1e-4, abs=1e-5)
    assert all(torch.equal(a, shared[name][1]["weights"][k]) for k, a in shared[name][0]["weights"].items())


@pytest.mark.dear
def test_scenarios_are_what_they_are_for(shared):
    assert shared["nonfinite"][0]["ended"][0] == "nonfinite"
    assert "epoch 2" in shared["nonfinite"][0]["ended"][1]
    assert shared["patience"][0]["ended"] == ("patience", "", 1, 18)
    assert torch.equal(shared["unused"][0]["idle"], torch.ones(2))
    assert (shared["unused"][0]["own"] < 1).all()
    assert [found["seen"] for found in shared["compiled"]] == [[16] * 5, [16] * 5]
    assert shared["start"][0]["weights"]["chain.layers.0.loc"].any()


@pytest.mark.dear
def test_half_precision_and_other_normalisations_leave_all_processes_equal(shared):
    for name in ("half", "other_batch_norm"):
        first, second = shared[name]
        assert first["ended"] == second["ended"]
        assert all(torch.equal(value, second["weights"][key]) for key, value in first["weights"].items()), name
        assert np.isfinite(first["history"][-1]["validation"])


@pytest.mark.dear
def test_each_process_draws_its_own_random_numbers(shared):
    first, second = shared["dropout"]
    assert len(first["seen"]) == len(second["seen"]) > 10
    assert not set(first["seen"]) & set(second["seen"])
    assert all(torch.equal(value, second["weights"][key]) for key, value in first["weights"].items())


def test_two_processes_on_one_gpu_are_refused(monkeypatch):
    ranks = ProcessRanks(0, 2)
    for other, device in ((1, "cuda:0"), (0, "cpu")):
        places = [("here", 0), ("here", other)]
        monkeypatch.setattr(ranks, "gathered", lambda place, places=places: places)
        ranks.require_own_device(torch.device(device))
    monkeypatch.setattr(ranks, "gathered", lambda place: [("here", 0), ("here", 0)])
    with pytest.raises(TrainingError, match=r"a GPU of its own for each of 2 processes.*LOCAL_RANK"):
        ranks.require_own_device(torch.device("cuda:0"))


def test_shares_of_a_batch():
    rows = torch.arange(7.0)
    parts = [ProcessRanks(rank, 3).share((rows, -rows)) for rank in range(3)]
    assert torch.equal(torch.cat([part[0] for part, _ in parts]), rows)
    assert torch.equal(torch.cat([part[1] for part, _ in parts]), -rows)
    assert [weight for _, weight in parts] == pytest.approx([2 / 7, 2 / 7, 3 / 7])
    few = [ProcessRanks(rank, 4).share((rows[:2],)) for rank in range(4)]
    assert [len(part[0]) for part, _ in few] == [1, 1, 1, 1]
    assert [weight for _, weight in few] == [0.0, 0.5, 0.0, 0.5]
    alone = ProcessRanks()
    assert alone.share((rows,)) == ((rows,), 1.0)
    assert alone.agree(True, False) == (True, False)
    assert alone.gathered(3) == [3]
    assert not alone.asked_to_end


# Ends


def test_what_one_process_wants_all_do(shared):
    for found in shared["one_clock"]:
        assert found["late"][0] == "limit"
        assert found["told"][0] == "callback"
        assert found["epochs"] == 1
    first, second = shared["interrupted"]
    assert first["ended"] == second["ended"]
    assert first["ended"][0] == "interrupted"
    assert first["steps"] == second["steps"] < 200


def test_an_interrupted_run_goes_on_alone(shared, folder, tmp_path):
    state = load_checkpoint(folder / "interrupted.checkpoint")
    assert state["position"]["step"] == shared["interrupted"][0]["steps"]
    result = fit(worker.small(seed=1), worker.table(), resume=folder / "interrupted.checkpoint", **worker.QUICK)
    assert result.history[0]["steps"] == 6


def test_a_process_that_fails_alone_is_the_one_that_tells(shared):
    first, second = shared["broken"]
    assert second == {"error": "RuntimeError: out of luck", "silent": False}
    assert first["silent"]
    assert first["error"].startswith("LostProcess: another process of this run has ended, or does not answer")
    assert first["error"].endswith("broken.checkpoint; resume from it")


# Files


def test_the_first_process_alone_writes(shared):
    assert shared["files"][0]["there"] == ["metrics-0", "state-0"]
    for found in shared["no_folder"]:
        assert found["error"].startswith("FileError: ")
        assert "state cannot be written" in found["error"]


@pytest.mark.parametrize("name", ["first", pytest.param("second", marks=pytest.mark.dear)])
def test_one_process_goes_on_from_two(shared, folder, tmp_path, name):
    path = tmp_path / "state"
    path.write_bytes((folder / f"{name}.checkpoint").read_bytes())
    assert load_checkpoint(path)["position"]["step"] == 8
    rest = worker.uneven(seed=3, resume=path)
    require_close(rest, worker.ddp(tmp_path))


@pytest.mark.parametrize("name", ["second_half", pytest.param("second_half_fsdp", marks=pytest.mark.dear)])
def test_two_processes_go_on_from_one(shared, tmp_path, name):
    expected = worker.ddp(tmp_path)
    for found in shared[name]:
        require_close(found, expected)


@pytest.mark.dear
def test_a_sharded_checkpoint_is_that_of_one_process(shared, folder):
    alone, sharded = (load_checkpoint(folder / f"{name}.checkpoint") for name in ("alone", "second"))
    for part in ("weights", "average", "best"):
        assert sharded[part].keys() == alone[part].keys()
        for name, value in alone[part].items():
            assert type(sharded[part][name]) is torch.Tensor
            torch.testing.assert_close(sharded[part][name], value, rtol=1e-5, atol=1e-5, msg=name)
    for number, moments in alone["optimiser"]["state"].items():
        for key, value in moments.items():
            torch.testing.assert_close(sharded["optimiser"]["state"][number][key], value, rtol=1e-4, atol=1e-5)
    assert [len(state["random_others"]) for state in (alone, sharded)] == [0, 1]


@pytest.mark.dear
def test_random_numbers_go_on_in_every_process(shared):
    for found in shared["random_halves"]:
        for name, value in found["whole"]["weights"].items():
            assert torch.equal(found["rest"]["weights"][name], value), name


# Refusals


def test_processes_that_do_not_fit_together_are_refused(shared):
    for found in (*shared["other_data"], *shared["other_options"]):
        assert found["error"].startswith("TrainingError: expected the same rows, split and options in all 2 processes")
    for found in shared["not_a_part"]:
        assert found["error"].startswith("SpecError: expected an objective that holds the model as a part of itself")
    for found in shared["fsdp_options"]:
        assert "expected memory='invert' or parallel='fsdp', got both" in found["invert"]
        assert "expected compile=True or parallel='fsdp', got both" in found["compile"]
        assert "expected no single number among the parameters, got model.scale" in found["number"]


def test_an_environment_without_an_address_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(TrainingError, match="expected to be started by torchrun, as WORLD_SIZE is 2"):
        fit(worker.small(), worker.table(), **worker.QUICK)
    assert not torch.distributed.is_initialized()


def test_one_process_has_no_process_group(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(torch.distributed, "init_process_group", None)
    assert fit(worker.small(), worker.table(), **worker.QUICK).stopped == "converged"
    assert not distributed.silent()


# The command line


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "table.csv"
    np.savetxt(path, worker.table(300, 3), delimiter=",", header="a,b,c", comments="")
    return path


FIT = ["--flow", "realnvp", "--layers", "2", "--hidden", "8", "--no-baselines"]


@pytest.mark.dear
def test_the_command_fits_and_speaks_once(csv, tmp_path, capsys):
    out, alone = tmp_path / "two.flow", tmp_path / "one.flow"
    arguments = ["fit", str(csv), *FIT, "--epochs", "3", "--parallel", "fsdp"]
    command = torchrun("-m", "pushforward", *arguments, "-o", out)
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT, env=environment())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("realnvp") == 1
    assert done.stderr.count("epoch 3/3") == 1
    assert done.stderr.count("wrote ") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["table.csv", "two.flow"]
    assert main([*arguments, "-o", str(alone)]) == 0
    found, expected = (pf.load(path).model for path in (out, alone))
    for a, b in zip(found.state_dict().values(), expected.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert said(capsys.readouterr().err) == []


def started(csv, out):
    """torchrun with a fit that would take for ever, and the process of each rank, once it has saved twice."""
    options = ["--epochs", "100000", "--patience", "0", "--checkpoint-seconds", "0.2"]
    command = torchrun("-m", "pushforward", "fit", csv, "-o", out, *FIT, *options)
    launched = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    )
    checkpoint = Path(f"{out}.checkpoint")
    began, first = time.monotonic(), None
    while first is None or checkpoint.stat().st_mtime_ns == first:
        assert launched.poll() is None, launched.communicate()
        assert time.monotonic() - began < LIMIT
        time.sleep(0.05)
        if first is None and checkpoint.exists():
            first = checkpoint.stat().st_mtime_ns
    children = Path(f"/proc/{launched.pid}/task/{launched.pid}/children").read_text().split()
    ranks = {rank_of(int(child)): int(child) for child in children}
    assert ranks.keys() >= {0, 1}
    return launched, ranks


def rank_of(process):
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next((int(variable[5:]) for variable in variables if variable.startswith(b"RANK=")), None)


@pytest.mark.dear
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("lost", [0, 1])
def test_a_killed_process_ends_the_run_with_one_sentence_and_a_checkpoint(csv, tmp_path, capsys, lost):
    out = tmp_path / "model.flow"
    launched, ranks = started(csv, out)
    os.kill(ranks[lost], signal.SIGKILL)
    output, errors = launched.communicate(timeout=LIMIT)
    assert launched.returncode != 0
    assert said(output + errors) == [
        "pushforward: error: another process of this run has ended, or does not answer "
        f"(seen by process {1 - lost} of 2); the last checkpoint is in {out}.checkpoint; resume from it"
    ]
    done = load_checkpoint(f"{out}.checkpoint")["position"]["epoch"]
    again = ["fit", str(csv), "-o", str(out), *FIT, "--patience", "0", "--resume", f"{out}.checkpoint"]
    assert main([*again, "--epochs", str(done + 1)]) == 0
    assert f"epoch {done + 1}/" in capsys.readouterr().err or done > 20
    assert pf.load(out).training["epochs"] == done + 1


@pytest.mark.dear
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_ctrl_c_saves_and_is_told_once(csv, tmp_path):
    out = tmp_path / "model.flow"
    launched, _ = started(csv, out)
    launched.send_signal(signal.SIGINT)
    output, errors = launched.communicate(timeout=LIMIT)
    (sentence,) = said(output + errors)
    assert sentence.startswith("pushforward: interrupted; the best model so far, of epoch ")
    assert sentence.endswith(f"go on with the same command and --resume {out}.checkpoint")
    assert load_checkpoint(f"{out}.checkpoint")["position"]["step"] > 0


@pytest.mark.parametrize("rank", ["0", "1"])
def test_errors_before_the_processes_meet_are_told_by_the_first(tmp_path, capsys, monkeypatch, csv, rank):
    for name, value in (("WORLD_SIZE", "2"), ("RANK", rank), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, value)
    told = rank == "0"
    assert main(["fit", str(tmp_path / "none.csv"), "-o", str(tmp_path / "m.flow")]) == 1
    assert bool(said(capsys.readouterr().err)) == told
    assert main(["score", str(tmp_path / "m.flow"), str(csv)]) == 2
    err = capsys.readouterr().err
    assert ("only fit can run in several processes of torchrun" in err) == told
    if told:
        assert main(["fit", "-", "-o", str(tmp_path / "m.flow")]) == 2
        assert "several processes cannot all read standard input" in capsys.readouterr().err


LAST_WORDS = """
import ctypes, importlib.util, os, signal, sys, threading

spec = importlib.util.spec_from_file_location("pushforward.training.interrupt", sys.argv[2])
interrupt = importlib.util.module_from_spec(spec)
spec.loader.exec_module(interrupt)
interrupt.GRACE = 0.2
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
with interrupt.FinalMessage(lambda: "the end") as words:
    os.kill(os.getpid(), signal.SIGTERM)
    assert words.requested
    if sys.argv[1] == "blocked":
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
threading.Event().wait(0.5)
print("on")
"""


@pytest.mark.parametrize("how", ["blocked", "free"])
def test_a_process_that_waits_in_vain_has_last_words(how):
    command = [sys.executable, "-c", LAST_WORDS, how, interrupt.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT, env=environment())
    expected = (1, "", "pushforward: error: the end\n") if how == "blocked" else (0, "on\n", "")
    assert (done.returncode, done.stdout, done.stderr) == expected


def test_an_applications_own_handler_is_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with interrupt.FinalMessage(lambda: "never") as words:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            words.ignore_more()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
