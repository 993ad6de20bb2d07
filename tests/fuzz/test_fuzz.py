"""A small sample of `make fuzz`: damaged and hostile inputs of every kind get one sentence, or are read."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_sample_of_the_fuzzers():
    command = [sys.executable, "-m", "fuzz", "--count", "30", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()[1:8]}
    assert lines["all"][0] == "30"
    assert set(lines) == {"tables", "pictures", "models", "archives", "checkpoints", "TOML", "all"}
