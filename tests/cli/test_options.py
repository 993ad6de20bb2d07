"""Where `fit` writes the model without --out."""

import pytest

from pushforward.cli.options import OutputOptions, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [("wine.csv", "wine.flow"), ("/data/a.b.parquet", "a.b.flow"), ("digits", "digits.flow"), ("../x.npz", "x.flow")],
)
def test_the_name_is_that_of_the_source(source, name):
    assert OutputOptions().named_after(source).model == name
    assert OutputOptions(out="other.flow").named_after(source).model == "other.flow"


def test_folders_keep_their_whole_name(tmp_path):
    (tmp_path / "photos.v2").mkdir()
    assert OutputOptions().named_after("photos.v2/").model == "photos.v2.flow"
    assert OutputOptions().named_after(".").model == f"{tmp_path.name}.flow"


def test_standard_input_has_no_name():
    with pytest.raises(UsageError, match="expected --out FILE"):
        OutputOptions().named_after("-")


def test_no_file_is_replaced(tmp_path):
    (tmp_path / "wine.flow").write_text("mine")
    with pytest.raises(UsageError, match=r"wine.flow exists and is not replaced; .* --out wine.flow to replace it"):
        OutputOptions().named_after("wine.csv")
    with pytest.raises(UsageError, match="not replaced"):
        OutputOptions(resume="other.checkpoint").named_after("wine.csv")
    # An interrupted run has written it already, and goes on with the same command.
    assert OutputOptions(resume="wine.flow.checkpoint").named_after("wine.csv").model == "wine.flow"
    (tmp_path / "link.flow").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not replaced"):
        OutputOptions().named_after("link.csv")


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
