"""Files that commands write."""

from __future__ import annotations

import click
import numpy as np
import pytest

from aiida_siox.cli.output.files import columns_text, is_figure, new_file, write_columns, writing

COLUMNS = {"energy_eV": np.array([1846.8123, 1847.0]), "mean": np.array([1.5, 2.0e-7])}


def test_columns_under_their_titles():
    assert columns_text(COLUMNS, note="calibrated").splitlines() == [
        "# calibrated",
        "# energy_eV mean",
        "1846.8123 1.5",
        "1847 2e-07",
    ]


def test_words_stay_as_they_are():
    assert columns_text({"ligands": ["0", "4"], "fraction": [0.25, 0.75]}, ",") == "ligands,fraction\n0,0.25\n4,0.75"


def test_commas_have_no_comments(tmp_path):
    """A table of a spreadsheet begins with its titles."""
    path = tmp_path / "columns.CSV"
    write_columns(path, COLUMNS, "calibrated")
    assert path.read_text().splitlines()[:2] == ["energy_eV,mean", "1846.8123,1.5"]


def test_written_columns_are_read_again(tmp_path):
    path = tmp_path / "columns.txt"
    write_columns(path, COLUMNS, "calibrated")
    np.testing.assert_allclose(np.loadtxt(path), np.column_stack(list(COLUMNS.values())), rtol=1e-7)


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="zip"):
        columns_text({"a": [1.0], "b": [1.0, 2.0]})


def test_what_the_disk_refuses_is_told(tmp_path):
    with pytest.raises(click.ClickException, match="cannot be written: Is a directory"):
        write_columns(tmp_path, COLUMNS)
    with pytest.raises(click.ClickException, match="No such file"), writing(tmp_path):
        (tmp_path / "nowhere" / "file").write_text("")


def test_a_new_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("before")
    with pytest.raises(click.ClickException, match="cannot be written"), new_file(path, force=True) as partial:
        (partial / "nowhere").write_text("half")
    assert path.read_text() == "before"
    with new_file(path, force=True) as partial:
        partial.write_text("whole")
        assert path.read_text() == "before"
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_not_written_over(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("before")
    with pytest.raises(click.ClickException, match="--force"), new_file(path, force=False):
        pass
    with pytest.raises(click.ClickException, match="no folder"), new_file(tmp_path / "nowhere" / "a.pt", force=False):
        pass


def test_figures_are_told_by_their_ending(tmp_path):
    assert [is_figure(tmp_path / name) for name in ("a.png", "a.SVG", "a.csv", "png")] == [True, True, False, False]
