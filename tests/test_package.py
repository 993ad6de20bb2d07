"""The package as a whole: layering, light imports, a torch left as it was."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_imports_go_down_only():
    # in a process of its own: import-linter configures logging and switches existing loggers off
    config = str(ROOT / ".importlinter")
    run(
        f"from importlinter.cli import lint_imports; raise SystemExit(lint_imports(config_filename={config!r}, no_cache=True))"
    )


def test_import_loads_no_extra():
    heavy = "matplotlib sklearn polars cyclopts rich scipy pandas jinja2 starlette torchdiffeq"
    out = run(f"import sys, pushforward; print([m for m in '{heavy}'.split() if m in sys.modules])")
    assert out.strip() == "[]"


def test_import_leaves_torch_alone():
    out = run(
        "import torch, random, numpy, warnings\n"
        "before = (torch.get_default_dtype(), torch.get_rng_state(), torch.get_num_threads(), list(warnings.filters))\n"
        "import pushforward, pushforward.laws, pushforward.training, pushforward.serialize\n"
        "after = (torch.get_default_dtype(), torch.get_rng_state(), torch.get_num_threads(), list(warnings.filters))\n"
        "assert before[0] == after[0] and torch.equal(before[1], after[1]) and before[2:] == after[2:]\n"
        "try:\n    torch.distributions.Normal(0.0, -1.0)\n"
        "except ValueError:\n    print('validates')\n"
    )
    assert out.strip() == "validates"


def test_version_is_the_same_everywhere():
    import pushforward

    assert re.search(rf"^version: {re.escape(pushforward.__version__)}$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert f"## {pushforward.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_public_names_resolve():
    import pushforward as pf

    for name in pf.__all__:
        assert getattr(pf, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pf.nothing


def test_unknown_names_get_a_hint():
    import pushforward as pf

    with pytest.raises(pf.errors.SpecError, match="unknown system 'nfs'; did you mean 'nsf'"):
        pf.build("nfs", features=2)
    with pytest.raises(pf.errors.SpecError, match="no argument 'layer'; did you mean 'layers'"):
        pf.build("nsf", features=2, layer=3)
    with pytest.raises(pf.errors.SpecError, match="needs features"):
        pf.build("nsf")
    with pytest.raises(pf.errors.SpecError, match=r"expected nsf.features >= 1, got 0"):
        pf.build("nsf", features=0)
    with pytest.raises(pf.errors.SpecError, match=r"expected nsf.layers to be int, got 2.5"):
        pf.build("nsf", features=2, layers=2.5)
    with pytest.raises(pf.errors.SpecError, match="one of 'autoregressive', 'coupling'"):
        pf.build("nsf", features=2, structure="spiral")
