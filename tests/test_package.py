"""The package as a whole: layering, light imports, a torch left as it was."""

import ast
import graphlib
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


def imports():
    """Return (file, file that it imports, whether the statement is inside a function) for the package's own imports."""
    source = ROOT / "src"
    files = {".".join(p.relative_to(source).with_suffix("").parts): p for p in (source / "pushforward").rglob("*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}
    for name, path in modules.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        tree = ast.parse(path.read_text())
        only_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or id(node) in only_types:
                continue
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{target}.{alias.name}" if f"{target}.{alias.name}" in modules else target
                if found in modules and found != name:
                    yield name, found, node not in tree.body


def test_no_circle_of_imports():
    graph = {}
    for name, found, _ in imports():
        graph.setdefault(name, set()).add(found)
    list(graphlib.TopologicalSorter(graph).static_order())


def test_no_two_files_with_one_name():
    names = [path.name for path in (ROOT / "src").rglob("*.py") if not path.name.startswith("__")]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_no_two_public_classes_with_one_name():
    found = [
        node.name
        for path in (ROOT / "src").rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert [name for name in sorted(set(found)) if found.count(name) > 1] == []


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
