"""Which task a source belongs to, and which files of the command line a fit imports."""

import subprocess
import sys

import numpy as np
import pytest
from command_line import run

from pushforward.cli.app import _task_of_source, _trained_by
from pushforward.cli.picture_task import PictureTask
from pushforward.cli.table_task import TableTask
from pushforward.errors import DataError, FileError


def test_the_tasks_decide_which_of_them_reads_a_source(tmp_path):
    np.save(tmp_path / "rows.npy", np.zeros((4, 3)))
    np.save(tmp_path / "pictures.npy", np.zeros((4, 8, 8)))
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "t.xlsx").write_text("")
    rows = ["-", "absent.csv", "absent.npy", tmp_path / "rows.npy", tmp_path / "t.xlsx"]
    pictures = ["digits", "misspelt", "absent.png", tmp_path, tmp_path / "folder.csv", tmp_path / "pictures.npy"]
    assert [_task_of_source(str(source)) for source in rows] == [TableTask] * len(rows)
    assert [_task_of_source(str(source)) for source in pictures] == [PictureTask] * len(pictures)
    # No source belongs to both.
    assert not [source for source in map(str, rows + pictures) if TableTask.reads(source) and PictureTask.reads(source)]


def test_the_tasks_decide_which_of_them_owns_a_model(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n" + "".join(f"{i}.5,{i * i % 7}.25\n" for i in range(40)))
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 4, (12, 8, 8)))
    code = "import sys; from pushforward.cli import main; assert main(sys.argv[1:]) == 0;"
    code += "print(*sorted(n for n in sys.modules if n.startswith('pushforward.cli.')))"
    fit = ["fit", "t.csv", "--layers", "1", "--hidden", "4", "--epochs", "1", "--no-baselines", "-q"]
    done = subprocess.run([sys.executable, "-c", code, *fit], cwd=tmp_path, capture_output=True, text=True, check=True)
    touched = [name for name in done.stdout.split() if name.startswith("pushforward.cli.")]
    assert "pushforward.cli.table_task" in touched
    assert len(touched) <= 7, touched
    picture = ["--preset", "tiny", "--set", "steps=1", "--set", "hidden=4", "--set", "scales=1", "--levels", 4]
    options = [*picture, "--epochs", 1, "-q", "--out", tmp_path / "x.flow"]
    assert run("fit", tmp_path / "x.npy", *options)[0] == 0
    table, pictures = str(tmp_path / "t.flow"), str(tmp_path / "x.flow")
    assert (_trained_by(table), _trained_by(pictures)) == (TableTask.trained(), PictureTask.trained())
    assert _trained_by(table, str(tmp_path / "absent.csv")) is TableTask.trained()
    with pytest.raises(DataError, match="expected a table, because"):
        _trained_by(table, str(tmp_path / "x.npy"))
    with pytest.raises(FileError):
        _trained_by(str(tmp_path / "t.csv"))
