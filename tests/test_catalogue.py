"""The list of systems, which is read from source files, is that of the real classes."""

import pytest

from pushforward import Spec, systems
from pushforward.catalogue import _from_class, known_systems


def test_the_source_says_what_the_classes_say():
    found = known_systems()
    own = {name: cls for name, cls in Spec.registry.items() if cls.__module__.startswith(systems.__name__)}
    assert set(found) == set(own)
    for name, cls in own.items():
        assert found[name] == _from_class(cls)
        assert all(argument["about"] for argument in found[name].arguments)


def test_systems_of_other_packages_are_listed_too(monkeypatch):
    from pushforward import catalogue

    class Own(systems.MAF):
        """A system of another package.

        Args:
            layers: Number of layers.
        """

        name = "own-maf"
        paper = "none"

    try:
        monkeypatch.setattr(catalogue, "_has_entry_points", lambda: True)
        own = known_systems()["own-maf"]
    finally:
        del Spec.registry["own-maf"]
    assert (own.about, own.symbol) == ("A system of another package.", "=")
    assert {"name": "layers", "type": "int", "default": "5", "about": "Number of layers."} in own.arguments


@pytest.mark.parametrize("text", ["[pushforward.systems]\nown = other.package\n", "[console_scripts]\na = b\n"])
def test_entry_points_are_found_on_the_path(tmp_path, monkeypatch, text):
    from pushforward.catalogue import _has_entry_points

    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "entry_points.txt").write_text(text)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert _has_entry_points() == ("pushforward" in text)
