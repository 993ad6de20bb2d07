"""Where `fit` writes the model without --out."""

import pytest

from pushforward.cli.files import with_model_file
from pushforward.cli.options import OutputOptions
from pushforward.cli.problems import UsageError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [("wine.csv", "wine.flow"), ("/data/a.b.parquet", "a.b.flow"), ("digits", "digits.flow"), ("../x.npz", "x.flow")],
)
def test_the_name_is_that_of_the_source(source, name):
    assert with_model_file(source, OutputOptions()).model == name
    assert with_model_file(source, OutputOptions(out="other.flow")).model == "other.flow"


def test_folders_keep_their_whole_name(tmp_path):
    (tmp_path / "photos.v2").mkdir()
    assert with_model_file("photos.v2/", OutputOptions()).model == "photos.v2.flow"
    assert with_model_file(".", OutputOptions()).model == f"{tmp_path.name}.flow"


def test_standard_input_has_no_name():
    with pytest.raises(UsageError, match="expected --out FILE"):
        with_model_file("-", OutputOptions())


def test_no_file_is_replaced(tmp_path):
    (tmp_path / "wine.flow").write_text("mine")
    with pytest.raises(UsageError, match=r"wine.flow exists and is not replaced; .* --out wine.flow to replace it"):
        with_model_file("wine.csv", OutputOptions())
    with pytest.raises(UsageError, match="not replaced"):
        with_model_file("wine.csv", OutputOptions(resume="other.checkpoint"))
    # An interrupted run has written it already, and goes on with the same command.
    assert with_model_file("wine.csv", OutputOptions(resume="wine.flow.checkpoint")).model == "wine.flow"
    (tmp_path / "link.flow").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not replaced"):
        with_model_file("link.csv", OutputOptions())


def test_fit_says_where_the_model_goes(tmp_path, capsys):
    from pushforward.cli import main

    (tmp_path / "data.csv").write_text("a,b\n" + "".join(f"{i}.5,{i * i % 17}.25\n" for i in range(40)))
    command = ["fit", str(tmp_path / "data.csv"), "--epochs", "1", "--hidden", "8", "--no-baselines"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "the model goes to data.flow" in said
    assert "wrote data.flow" in said
    before = (tmp_path / "data.flow").read_bytes()
    assert main(command) == 2
    assert "data.flow exists" in capsys.readouterr().err
    assert (tmp_path / "data.flow").read_bytes() == before
