"""Figures of a set of structures: what is drawn are the numbers that were given, at the right place."""

from __future__ import annotations

import csv
import importlib.util
import io
import pathlib
import sys

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.tools import delete_nodes
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aiida_siox.calculations.structures import structure_from_atoms
from aiida_siox.report.figures import style
from aiida_siox.science.cells import density_g_cm3
from tests.crystals import alpha_quartz, diamond_silicon

EXTRA = "siox_structures"
FOLDER = pathlib.Path(__file__).parents[2] / "docs" / "structures"


def loaded(name):
    """Return a module of the folder of the documentation, which is no package."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


structure_set = loaded("set_figures")


def quality(x=1.0, density=2.4, oxygen=None, total=None, **others):
    """Return the numbers of a cell as `science.quality.assess` does, those that figures and tables read."""
    return {
        "formula": "Si4O4",
        "n_atoms": 8,
        "x": x,
        "density_g_cm3": density,
        "coordination_oxygen": oxygen or {"0": 1, "1": 2, "2": 4, "3": 2, "4": 1},
        "coordination_total": total or {"3": 3, "4": 6, "5": 1},
        "mean_n_oxygen": 2.0,
        "bond_lengths": {"Si-O": {"mean": 1.65, "std": 0.02, "count": 8}, "O-O": {"mean": None, "count": 0}},
        "bond_angles": {"O-Si-O": {"mean": 109.4, "std": 9.0, "count": 6}},
        "largest_void_angstrom": 3.0,
        "void_fraction": 0.01,
        "n_silicon_of_oxygen": {"1": 0, "2": 6, "3": 2},
        "first_peak_neutron_per_angstrom": 1.9,
        "first_peak_xray_per_angstrom": None,
        "energy_per_atom_eV": -5.5,
        "flags": [],
        "rejected_by": [],
        "accepted": True,
    } | others


def curves(scale=1.0, start=0.4, pairs=("Si_Si", "Si_O", "O_O")):
    """Return curves of a cell; q starts where the cell has its shortest vector."""
    r, q = np.arange(0.05, 8, 0.05), np.arange(round(start / 0.02), 1001) * 0.02
    factor = 1 + 0.5 * scale * np.exp(-((q - 1.9) ** 2))
    distributions = {f"g_{pair}": scale * np.exp(-((r - 1.7) ** 2) / 0.02) + (r > 2.5) for pair in pairs}
    return {"r": r, **distributions, "q": q, "S_neutron": factor, "S_xray": factor + 0.2}


def written(figure):
    """Return the text in a figure after its layout, and let nothing be drawn that cannot be."""
    figure.savefig(io.BytesIO(), format="png", dpi=60)
    texts = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title)]
    return texts + [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def points(axes, marker):
    """Return the points of the lines with a marker, and without a line between them."""
    lines = [line for line in axes.lines if line.get_marker() == marker and line.get_linestyle() == "None"]
    return np.concatenate([line.get_xydata() for line in lines]) if lines else np.zeros((0, 2))


@pytest.fixture(autouse=True)
def look():
    with style.style():
        yield


@pytest.mark.parametrize("x", [0, 0.25, 1, 1.5, 2])
def test_random_bonding_is_a_distribution_with_the_oxygen_of_the_composition(x):
    shares = structure_set.random_bonding(x)
    assert shares.sum() == pytest.approx(1)
    assert (shares * np.arange(5)).sum() == pytest.approx(2 * x), "every O is bonded to two Si"


def test_random_bonding_of_monoxide_by_hand():
    assert structure_set.random_bonding(1) == pytest.approx(np.array([1, 4, 6, 4, 1]) / 16)
    with pytest.raises(ValueError, match=r"x = 2\.5"):
        structure_set.random_bonding(2.5)


def test_units_are_the_shares_of_all_cells_of_a_composition():
    figure = structure_set.units_figure(
        [
            quality(x=2.0, oxygen={"0": 0, "1": 0, "2": 0, "3": 1, "4": 8, "5": 1}),
            quality(x=1.0, oxygen={"0": 1, "1": 2, "2": 4, "3": 2, "4": 1}),
            quality(x=1.0, oxygen={"0": 0, "1": 10, "2": 20, "3": 0, "4": 0}),
        ]
    )
    monoxide, dioxide = figure.axes[:2]
    assert [bar.get_height() for bar in monoxide.patches] == pytest.approx(np.array([1, 12, 24, 2, 1]) / 40 * 100)
    assert [bar.get_height() for bar in dioxide.patches] == pytest.approx([0, 0, 0, 10, 80, 10])
    assert points(monoxide, "D")[:, 1] == pytest.approx(100 * structure_set.random_bonding(1))
    assert points(dioxide, "D")[:, 1] == pytest.approx([0, 0, 0, 0, 100])
    texts = written(figure)
    assert {"SiO", "SiO$_{2}$", "random bonding", "more"} <= set(texts)
    assert monoxide.get_title(loc="right") == "2 cells"


def test_cells_are_drawn_with_name_and_density():
    quartz = alpha_quartz()
    figure = structure_set.cells_figure([diamond_silicon(), quartz])
    names = [text.get_text() for text in figure.texts]
    assert names[0] == f"Si   {density_g_cm3(diamond_silicon()):.2f} g/cm³"
    assert names[1] == f"SiO$_{{2}}$   {density_g_cm3(quartz):.2f} g/cm³"
    assert len(figure.axes) == 2
    assert {"Si", "O", "cell"} <= set(written(figure))


def test_curves_are_averaged_where_all_cells_have_them():
    q, values = structure_set.mean_curve([curves(1.0, start=0.4), curves(3.0, start=0.52)], "S_neutron")
    assert q[0] == pytest.approx(0.52)
    assert values == pytest.approx(1 + 0.5 * 2 * np.exp(-((q - 1.9) ** 2)))


def test_distributions_are_shifted_and_bonds_scaled():
    silicon = (quality(x=0.0), curves(pairs=("Si_Si",)))
    figure = structure_set.distribution_figure([silicon, (quality(x=1.0), curves(2.0)), (quality(x=1.0), curves(4.0))])
    by_pair = dict(zip(structure_set.PAIRS, figure.axes, strict=True))

    def curve(pair, colour):
        wanted = style.composition_colour(colour)
        return next(line.get_xydata() for line in by_pair[pair].lines if line.get_color() == wanted)

    monoxide = curve("Si_O", 1.0)
    peak = monoxide[np.isclose(monoxide[:, 0], 1.7), 1]
    assert peak == pytest.approx([3.0 * structure_set.BOND_SCALE + 4.0]), "mean of 2 and 4, scaled, second of two"
    assert monoxide[-1, 1] == pytest.approx(1.0 + 4.0)
    assert curve("Si_Si", 0.0)[-1, 1] == pytest.approx(1.0)
    drawn = [line for line in by_pair["O_O"].lines if len(line.get_xdata()) > 5]
    assert len(drawn) == 1, "no O–O in silicon"
    assert {"Si", "SiO"} <= set(written(figure))


def test_first_peaks_and_published_ones_are_marked():
    cells = [(quality(x=x, first_peak_neutron_per_angstrom=1.9 - 0.1 * x), curves()) for x in (0.0, 1.0, 2.0)]
    figure = structure_set.scattering_figure(cells)
    neutron, xray = figure.axes
    marked = points(neutron, "o")
    assert marked[:, 0] == pytest.approx([1.9, 1.8, 1.7])
    assert marked[:, 1] == pytest.approx(
        [1 + 0.5 * np.exp(-((q - 1.9) ** 2)) + 1.5 * i for i, q in enumerate(marked[:, 0])], abs=1e-3
    )
    assert len(points(xray, "o")) == 0, "these cells have no peak in X-rays"
    for axes in (neutron, xray):
        ticks = [line.get_xdata()[0] for line in axes.lines if line.get_color() == style.INK]
        assert ticks == pytest.approx([2.0, 1.52])
    assert {"a-Si 2.0", "v-SiO₂ 1.52"} <= set(written(figure))


def test_densities_stand_beside_those_of_the_paper_and_measured_ones():
    figure = structure_set.density_figure([quality(0.0, 2.2), quality(0.0, 2.4), quality(2.0, 2.31)])
    axes = figure.axes[0]
    assert points(axes, "o") == pytest.approx(np.array([[0, 2.2], [0, 2.4], [2, 2.31]]))
    assert points(axes, "s") == pytest.approx(np.array([[0, 2.25], [2, 2.30]]))
    measured = np.concatenate([points(axes, marker) for marker in "D^vP"])
    assert measured == pytest.approx(np.array([[0, 2.285], [1, 2.13], [1, 2.17], [2, 2.20]]))
    means = next(line.get_xydata() for line in axes.lines if line.get_linestyle() == "-")
    assert means == pytest.approx(np.array([[0, 2.3], [2, 2.31]]))
    assert "measured: a-Si 2.285 (Custer 1994)" in written(figure)


def test_rates_show_density_fourfold_silicon_and_energy_above_the_slowest():
    figure = structure_set.rate_figure(
        {
            5e13: [quality(energy_per_atom_eV=-5.44, density=2.6, accepted=False)],
            2e12: [quality(energy_per_atom_eV=-5.50), quality(energy_per_atom_eV=-5.48), quality(x=0.5)],
        }
    )
    density, energy, fourfold, threefold = figure.axes
    assert points(threefold, "o")[:, 1] == pytest.approx([25, 25, 25])
    assert points(density, "o") == pytest.approx(np.array([[2, 2.4], [2, 2.4], [50, 2.6]])), "x = 0.5 is not drawn"
    assert points(fourfold, "o")[:, 1] == pytest.approx([60, 60, 60])
    assert points(energy, "o") == pytest.approx(np.array([[2, -10], [2, 10], [50, 50]]))
    for axes in figure.axes:
        paper = next(line for line in axes.lines if line.get_linestyle() == "--")
        assert paper.get_xdata() == pytest.approx([1.67, 1.67])
        assert axes.get_xscale() == "log"
    faces = [line.get_markerfacecolor() for line in density.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert faces[-1] == "white"
    assert {"SiO", "rate of the paper", "rejected by the rules"} <= set(written(figure))


def test_protocols_show_density_and_voids_side_by_side():
    figure = structure_set.protocol_figure(
        {
            "fixed": [quality(1.5, 2.5, void_fraction=0.02)],
            "free": [quality(1.5, 2.1, void_fraction=0.05, accepted=False)],
        }
    )
    density, void = figure.axes
    assert points(density, "s") == pytest.approx(np.array([[1.49, 2.1]]))
    assert points(density, "^") == pytest.approx(np.array([[1.51, 2.5]]))
    assert points(void, "s")[:, 1] == pytest.approx([5.0])
    texts = written(figure)
    assert {"free from 5000 K", "fixed volume", "rejected by the rules"} <= set(texts)
    assert "free below 3000 K" not in texts
    with pytest.raises(ValueError, match="unknown protocol slow"):
        structure_set.protocol_figure({"slow": []})


def test_labels_of_no_figure_overlap():
    cells = [(quality(x=x / 4, density=2.2 + 0.05 * x), curves()) for x in range(9)]
    qualities = [cell for cell, _ in cells]
    rejected = quality(x=1.5, accepted=False)
    for figure in (
        structure_set.units_figure(qualities),
        structure_set.distribution_figure(cells),
        structure_set.scattering_figure(cells),
        structure_set.density_figure(qualities),
        structure_set.rate_figure({1e12: qualities, 1e13: qualities}),
        structure_set.protocol_figure(
            {key: [*qualities[4:7], rejected] for key in ("free", "paper", "free_below_3000", "fixed")}
        ),
    ):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                labels = [label for label in axis.get_ticklabels() if label.get_text() and label.get_visible()]
                boxes = [label.get_window_extent(renderer) for label in labels]
                assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
        names = [axes.yaxis.label for axes in figure.axes if axes.get_ylabel()]
        legends = [legend.get_window_extent(renderer) for legend in figure.legends]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in legends)
        for label in names:
            box = label.get_window_extent(renderer)
            assert box.y0 >= 0
            assert box.y1 <= figure.bbox.y1
            assert not any(box.overlaps(legend) for legend in legends)


@pytest.fixture
def draw():
    """Return docs/structures/draw.py as a module."""
    spec = importlib.util.spec_from_file_location("draw_structures", FOLDER / "draw.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    for name in (spec.name, "describe", "compute", "set_figures"):
        sys.modules.pop(name, None)


def store_set(extra, cells, rejected=(), quench_time_ps=2000.0):
    """Store a StructureSetWorkChain with its outputs: `cells` are (formula, seed, atoms, quality)."""
    configurations = orm.List([[formula, seed] for formula, seed, *_ in cells]).store()
    top = chain("StructureSetWorkChain")
    top.base.links.add_incoming(configurations, LinkType.INPUT_WORK, "configurations")
    times = {"melt_temperature_K": 5000.0, "final_temperature_K": 1.0, "quench_time_ps": quench_time_ps}
    top.base.links.add_incoming(orm.Dict(times).store(), LinkType.INPUT_WORK, f"melt_quench__{cells[0][0]}__parameters")
    top.store()
    top.base.extras.set(EXTRA, extra)
    lane = chain("StructureLaneWorkChain")
    lane.base.links.add_incoming(top, LinkType.CALL_WORK, "lane_0")
    lane.store()
    for formula, seed, atoms, numbers in cells:
        label = f"{formula}_{seed}"
        thrown = [other for name, other in rejected if name == label]
        attempts = {
            "formula": formula,
            "seeds": [seed, *range(100, 100 + len(thrown))],
            "accepted_seed": seed,
            "rejected_by": {str(100 + i): other["rejected_by"] for i, other in enumerate(thrown)},
        }
        give(top, f"attempts__{label}", orm.Dict(attempts))
        give(top, f"qualities__{label}", orm.Dict(numbers))
        give(top, f"profiles__{label}", orm.ArrayData(curves()))
        give(top, f"structures__{label}", structure_from_atoms(atoms))
        if thrown:
            one = chain("ConfigurationWorkChain")
            one.base.links.add_incoming(lane, LinkType.CALL_WORK, f"melt_quench_{label}")
            one.store()
            for i, other in enumerate(thrown):
                give(one, f"rejected_qualities__seed_{100 + i}", orm.Dict(other))
                give(one, f"rejected__seed_{100 + i}", structure_from_atoms(atoms))


def chain(label):
    node = orm.WorkChainNode()
    node.set_process_label(label)
    return node


def give(process, link, data):
    data.store()
    data.base.links.add_incoming(process, LinkType.RETURN, link)


@pytest.fixture
def emptied(aiida_profile):
    """Remove after a test what it stored: the profile is shared, and other tests query all of it."""
    before = max(orm.QueryBuilder().append(orm.Node, project="id").all(flat=True), default=0)
    yield
    stored = orm.QueryBuilder().append(orm.Node, filters={"id": {">": before}}, project="id").all(flat=True)
    delete_nodes(stored, dry_run=False)


def rows(folder, name):
    with (folder / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("emptied")
def test_page_is_drawn_from_the_processes_of_a_profile(draw, tmp_path, capsys):
    draw.draw(tmp_path)
    assert not list(tmp_path.rglob("*.*"))
    assert capsys.readouterr().out.count("left out") == 3

    silicon, quartz = diamond_silicon(), alpha_quartz()
    thrown = quality(2.0, 1.7, rejected_by=["density", "void"], accepted=False, largest_void_angstrom=5.5)
    store_set(
        "set",
        [("Si8", 1, silicon, quality(0.0, 2.2, oxygen={"0": 8})), ("Si3O6", 2, quartz, quality(2.0, 2.31))],
        [("Si3O6_2", thrown)],
    )
    store_set("rate/1e+13", [("Si3O6", 1, quartz, quality(2.0, 2.3))], [("Si3O6_1", thrown)])
    draw.draw(tmp_path)
    assert "pressure protocols are left out" in capsys.readouterr().out
    written_figures = {path.stem: path.stat().st_size for path in (tmp_path / "figures").iterdir()}
    assert set(written_figures) == {"cells", "units", "density", "distributions", "scattering", "rates"}
    assert max(written_figures.values()) <= draw.MAX_BYTES

    first, second = rows(tmp_path, "configurations")
    assert (first["label"], first["seed"], first["density_g_cm3"]) == ("Si8_1", "1", "2.200")
    assert (first["from_paper_percent"], first["from_measured_percent"]) == ("-2.2", "-3.7")
    assert (first["SiO0_percent"], second["SiO2_percent"]) == ("100.0", "40.0")
    assert (second["neighbours_of_Si"], second["Si_O_angstrom"], second["Si_Si_angstrom"]) == ("3.80", "1.650", "")
    geometry = (tmp_path / "tables" / "geometry.md").read_text()
    assert "| Si–O (Å) | Si–Si (Å) | Si–O–Si (°) |" in geometry
    assert "| Si3O6_2 | 3.80 | 2.00 | 1.650 | – |" in geometry
    accepted = rows(tmp_path, "acceptance")
    assert [(line["accepted"], line["attempts"], line["rejected_by"]) for line in accepted] == [
        ("1", "1", "–"),
        ("1", "2", "density (1), void (1)"),
    ]
    accepted_only, everything = rows(tmp_path, "peaks")
    assert (accepted_only["cells of silica"], accepted_only["cells"]) == ("set, accepted", "1")
    assert (everything["cells of silica"], everything["cells"], everything["density_g_cm3"]) == (
        "set, all", "2", "2.005",
    )  # fmt: skip
    own, rate = rows(tmp_path, "rates")
    assert (own["rate_K_per_s"], own["x"]) == ("2.5e+12", "2.00"), "the set, without silicon: no other rate has it"
    assert (rate["rate_K_per_s"], rate["cells"], rate["rejected"]) == ("1e+13", "2", "1")
    assert rate["density_g_cm3"] == "2.000 ± 0.300"
    text = (tmp_path / "tables" / "rates.md").read_text().splitlines()
    assert len(text) == 4
    assert text[0].startswith("| rate (K/s) | x | cells | rejected | density (g/cm³) | four-fold Si (%) |")
    assert "2.000 ± 0.300" in text[3]


@pytest.mark.usefixtures("emptied")
def test_a_later_set_takes_the_place_of_an_earlier_one(draw):
    store_set("set", [("Si8", 1, diamond_silicon(), quality(0.0, 2.2))], [("Si8_1", quality(0.0, 1.0))])
    store_set("set", [("Si8", 1, diamond_silicon(), quality(0.0, 2.3)), ("Si8", 2, diamond_silicon(), quality(0.0))])
    series = draw.read()["set"]
    assert series.labels == ["Si8_1", "Si8_2"]
    assert series.qualities["Si8_1"]["density_g_cm3"] == 2.3
    assert not series.rejected
