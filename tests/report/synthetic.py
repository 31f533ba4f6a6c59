"""A synthetic data set and a synthetic analysis of it: shapes of the real ones, numbers made up.

Nothing here is physics. Spectra are an arctangent and two bumps; predictions are references plus noise.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from aiida_siox.report.records import AnalysisPart, CellRecord, SiteRecords, Substance
from aiida_siox.science.quantity import Axis, Kind, Quantity

#: Formula and silicon sites of the small cells of the reference data set.
CELLS = (
    *(("Si14", 14, 0.0), ("Si8O2", 8, 0.25), ("Si8O4", 8, 0.5), ("Si8O6", 8, 0.75), ("Si6O6", 6, 1.0)),
    *(("Si8O10", 8, 1.25), ("Si4O6", 4, 1.5), ("Si4O7", 4, 1.75), ("Si4O8", 4, 2.0)),
)
NAN = float("nan")
R = (np.arange(256) + 0.5) * 5 / 256
SILICA = Substance("SiOₓ, Si K edge", "Si", "K", ("O",), ("Si", "O"), 4)
QUANTITIES = {
    "valence": Quantity("valence", "Bader valence", "$V$", "e", Kind.SCALAR, error_scale=0.1),
    "rdf": Quantity("rdf", "g(R)", "$g(R)$", "1", Kind.CURVE, Axis("r", "Å", tuple(R)), note="σ = 0.15 Å"),
    "oxidation": Quantity(
        "oxidation", "oxidation states", "fraction", "1", Kind.FRACTIONS, Axis("ligands", "", tuple("01234"))
    ),
}
SETTINGS = {"training": {"coverage": 0.8, "confidence": 0.7}}


def score(mean: float, none: float = 1.0, seeds: int = 5) -> dict[str, Any]:
    """Return scores of one target and split in the form of the part `splits`."""

    def around(value: float) -> dict[str, Any]:
        return {"mean": value, "low": 0.95 * value, "high": 1.05 * value, "seeds": [value] * seeds}

    return {
        "rmse": around(mean),
        "r2": around(1 - (mean / none) ** 2),
        "rmse_no_skill": around(none),
        "skill": 1 - mean / none,
        "rmse_single": around(1.1 * mean),
        "baselines": {
            "descriptors": {"rmse": around(2.2 * mean)},
            "kernel_ridge": {"rmse": around(1.2 * mean)},
            "shuffled": {"rmse": around(1.02 * none)},
            "composition_mean": {"rmse": around(0.6 * none)},
        },
        "n_train": 200,
        "n_test": 50,
        "n_configurations": 36,
        "hyperparameters": [],
    }


def source(cells: Any = CELLS, copies: int = 4, n_energies: int = 256, seed: int = 1) -> SiteRecords:
    """Return a synthetic data set with so many configurations of each cell."""
    rng = np.random.default_rng(seed)
    energy, r = np.linspace(1830.0, 1880.0, n_energies), R
    formulas, compositions, owners, counts = [], [], [], []
    for formula, n_silicon, x in cells:
        for _ in range(copies):
            owners += [len(formulas)] * n_silicon
            counts.append(n_silicon)
            formulas.append(formula)
            compositions.append(x)
    configuration, x = np.array(owners), np.array(compositions)
    n_oxygen = np.clip(np.round(2 * x[configuration] + rng.normal(0, 0.7, len(owners))), 0, 5).astype(int)
    valence = 0.8 * n_oxygen + rng.normal(0, 0.08, len(owners))
    edge = 1839.0 + 1.7 * valence[:, None]
    spectra = 0.5 + np.arctan((energy - edge) / 0.9) / np.pi
    spectra += (0.3 + 0.3 * valence[:, None]) / (1 + ((energy - edge - 1.2) / 1.2) ** 2)
    spectra += 0.12 * np.exp(-(((energy - edge - 17 - rng.normal(0, 1, len(owners))[:, None]) / 4) ** 2))
    first = 2.35 - 0.19 * n_oxygen[:, None]
    height = 6 + rng.normal(0, 0.1, (len(owners), 1))  # of no two configurations alike
    rdf = height * np.exp(-(((r - first) / 0.2) ** 2)) + 1.5 * np.exp(-(((r - 3.1) / 0.4) ** 2)) + (r > 3.5)
    cells = zip(formulas, compositions, counts, strict=True)
    return SiteRecords(
        origin="data set 5e4b1a2c", energy=energy, spectra=1e-3 * spectra, quantities=QUANTITIES,
        values={"valence": valence[:, None], "rdf": rdf, "oxidation": np.eye(5)[np.minimum(n_oxygen, 4)]},
        ligands=n_oxygen, site_index=np.concatenate([np.arange(n) for n in counts]), configuration=configuration,
        cells=tuple(CellRecord(f"{f}_{i:02d}", f, c, n, True, f"{i:02d}") for i, (f, c, n) in enumerate(cells)),
        material=SILICA, protocol="synthetic", treatment="fch",
    )  # fmt: skip


def parts(data: SiteRecords, seeds: int = 5, seed: int = 2) -> dict[str, AnalysisPart]:
    """Return every part of a synthetic analysis."""
    rng = np.random.default_rng(seed)
    return {
        "splits": splits(data, seeds, rng),
        "windows": windows(data, rng),
        "averages": averages(data, rng),
        "uncertainty": uncertainty(data, rng),
        "learning_curve": learning_curve(rng),
    }


def _noisy(values: Any, sigma: float, rows: Any, rng: Any) -> Any:
    """Return values with noise in some rows, NaN elsewhere."""
    result = np.full(np.shape(values), NAN, dtype=np.float32)
    result[rows] = np.asarray(values)[rows] + rng.normal(0, sigma, np.shape(np.asarray(values)[rows]))
    return result


def _site_rmse(rows: Any, n: int, seeds: int, rng: Any) -> Any:
    result = np.full((seeds, n), NAN, dtype=np.float32)
    result[:, rows] = 0.1 + 0.12 * rng.gamma(2.0, 1.0, (seeds, np.arange(n)[rows].size))
    return result


def splits(data: SiteRecords, seeds: int, rng: Any) -> AnalysisPart:
    """Return the part `splits`."""
    sites, n, valence = data, len(data), data.values["valence"][:, 0]
    test = np.sort(rng.permutation(n)[: max(n // 5, 1)])
    train = np.setdiff1d(np.arange(n), test)
    arrays: dict[str, Any] = {"valence_random_fitted": _noisy(valence, 0.04, train, rng)}
    scores: dict[str, Any] = {"valence": {}, "rdf": {}, "oxidation": {}}
    for kind, rows, worse in (("random", test, 1.0), ("grouped", slice(None), 1.4), ("composition", slice(None), 2.0)):
        arrays[f"valence_{kind}_predicted"] = _noisy(valence, 0.1 * worse, rows, rng)
        arrays[f"valence_{kind}_descriptors_predicted"] = _noisy(valence, 0.25 * worse, rows, rng)
        arrays[f"rdf_{kind}_predicted"] = _noisy(sites.values["rdf"], 0.1 * worse, rows, rng)
        arrays[f"rdf_{kind}_site_rmse"] = _site_rmse(rows, n, seeds, rng)
        scores["valence"][kind] = score(0.1 * worse, 1.1, seeds)
        scores["rdf"][kind] = score(0.3 * worse, 0.9, seeds)
        scores["oxidation"][kind] = score(0.1 * worse, 0.35, seeds)
        for target in ("rdf", "oxidation"):
            del scores[target][kind]["baselines"]["descriptors"]
    return AnalysisPart("splits", arrays, {"scores": scores, "n_seeds": seeds, "seconds": 12.0, "parameters": SETTINGS})


def windows(data: SiteRecords, rng: Any) -> AnalysisPart:
    """Return the part `windows`: a is the worst, the full spectrum the best."""
    sites, n, valence = data, len(data), data.values["valence"][:, 0]
    edges = np.linspace(sites.energy[0], sites.energy[-1], 9)
    limits = [
        *itertools.pairwise(edges),
        (edges[0], edges[4]),
        (edges[4], edges[8]),
        (edges[0], edges[8]),
    ]
    names = [*"abcdefgh", "low", "high", "full"]
    test = np.sort(rng.permutation(n)[: max(n // 5, 1)])
    train = np.setdiff1d(np.arange(n), test)
    noise = np.linspace(0.6, 0.1, len(names))
    error = np.full((len(names), n), NAN)
    for i, sigma in enumerate(noise):
        error[i, test] = 0.1 + sigma * rng.gamma(2.0, 0.5, len(test))
    return AnalysisPart(
        "windows",
        {
            "windows_eV": np.array(limits),
            "window_names": np.array(names),
            "valence_window_predicted": np.array([_noisy(valence, s, test, rng) for s in noise]),
            "valence_window_fitted": np.array([_noisy(valence, 0.5 * s, train, rng) for s in noise]),
            "rdf_window_site_rmse": error,
        },
        {
            "scores": {
                "valence": {name: score(float(s), 1.1) for name, s in zip(names, noise, strict=True)},
                "rdf": {name: score(float(s), 0.9) for name, s in zip(names, noise, strict=True)},
            },
            "n_seeds": 1,
        },
    )


def averages(data: SiteRecords, rng: Any) -> AnalysisPart:
    """Return the part `averages`; the variant `sites` is 0.2 e too low at x = 1, `mixtures` is not."""
    sites = data
    n = len(sites.cells)
    owners = np.arange(n)
    valence = np.array([sites.values["valence"][sites.configuration == i].mean() for i in owners])
    rdf = np.array([sites.values["rdf"][sites.configuration == i].mean(axis=0) for i in owners])
    states = np.minimum(sites.ligands, 4)
    oxidation = np.array([np.bincount(states[sites.configuration == i], minlength=5) for i in owners], dtype=float)
    oxidation /= oxidation.sum(axis=1, keepdims=True)
    arrays: dict[str, Any] = {}
    for target, reference in (("valence", valence), ("rdf", rdf), ("oxidation", oxidation)):
        arrays |= {f"{target}_configuration": owners, f"{target}_reference": reference}
    scores: dict[str, Any] = {"valence": {}, "rdf": {}, "oxidation": {}}
    for variant, dip, sigma in (("sites", 0.2, 0.08), ("mixtures", 0.0, 0.05)):
        predicted = valence - dip * np.exp(-(((sites.x - 1) / 0.4) ** 2)) + rng.normal(0, 0.3 * sigma, n)
        arrays[f"valence_{variant}_predicted"] = predicted
        arrays[f"valence_{variant}_low"], arrays[f"valence_{variant}_high"] = predicted - 0.15, predicted + 0.15
        arrays[f"rdf_{variant}_predicted"] = rdf + rng.normal(0, sigma, rdf.shape)
        raw = np.clip(oxidation + rng.normal(0, sigma, oxidation.shape), 0, None)
        arrays[f"oxidation_{variant}_predicted"] = raw / raw.sum(axis=1, keepdims=True)
        bias = [[float(x), float((predicted - valence)[sites.x == x].mean())] for x in np.unique(sites.x)]
        scores["valence"][variant] = {
            "rmse": {"mean": 0.1}, "r2": 0.98, "bias": -dip / 3, "bias_by_x": bias, "rmse_no_skill": 1.1,
        }  # fmt: skip
        scores["rdf"][variant] = {"rmse": sigma, "r2": 0.9, "rmse_no_skill": 0.6}
        scores["oxidation"][variant] = {"rmse": sigma, "total_variation": 2 * sigma, "rmse_no_skill": 0.3}
    return AnalysisPart("averages", arrays, {"scores": scores, "n_seeds": 2, "parameters": SETTINGS})


def uncertainty(data: SiteRecords, rng: Any) -> AnalysisPart:
    """Return the part `uncertainty`: half widths of 0.2 e around predictions with noise of 0.12 e."""
    sites, n, valence = data, len(data), data.values["valence"][:, 0]
    predicted = valence + rng.normal(0, 0.12, (10, n))
    rdf = sites.values["rdf"] + rng.normal(0, 0.1, sites.values["rdf"].shape)
    inside = np.abs(predicted - valence) <= 0.2
    shares = [(float(x), float(inside[:, data.site_x == x].mean())) for x in np.unique(data.site_x)]
    by_x = [[x, share, share - 0.03, share + 0.03] for x, share in shares]
    pooled = float(inside.mean())
    probes = [("SiO2 +3 eV", 4.0), ("SiO2 −3 eV", 5.1), ("Si +3 eV", 3.2), ("Si −3 eV", 6.0), ("diamond C K", 8.0)]
    return AnalysisPart(
        "uncertainty",
        {
            "valence_predicted": predicted, "valence_low": predicted - 0.2, "valence_high": predicted + 0.2,
            "rdf_predicted": rdf, "rdf_low": rdf - 0.3, "rdf_high": rdf + 0.3,
            "novelty": rng.gamma(4.0, 0.25, n), "novelty_threshold": np.array(2.0),
        },
        {
            "coverage": {
                "valence": {
                    "coverage": pooled, "low": pooled - 0.02, "high": pooled + 0.02, "by_x": by_x, "mean_width": 0.4,
                },
                "rdf": {"coverage": 0.81, "low": 0.79, "high": 0.83, "by_x": by_x, "mean_width": 0.6},
            },
            "false_alarms": 0.05,
            "probes": [{"name": name, "score": value, "flagged": value > 2.0} for name, value in probes],
            "n_repetitions": {"valence": 10, "rdf": 1},
            "parameters": SETTINGS,
        },
    )  # fmt: skip


def learning_curve(rng: Any) -> AnalysisPart:
    """Return the part `learning_curve`: rmse = 1.5 n^-0.5 + 0.05 with noise."""
    n_sites = np.array([[30, 34, 28], [60, 66, 58], [125, 130, 128], [205, 204, 206]])
    arrays: dict[str, Any] = {}
    fits = {}
    for target, scale, none in (("valence", 1.5, 1.1), ("rdf", 3.0, 0.9)):
        arrays |= {f"{target}_n_sites": n_sites, f"{target}_n_configurations": np.array([4, 9, 18, 29])}
        arrays[f"{target}_rmse"] = (scale * n_sites**-0.5 + 0.05) * (1 + rng.normal(0, 0.03, n_sites.shape))
        arrays[f"{target}_rmse_no_skill"] = np.full(n_sites.shape, none)
        fits[target] = {"a": scale, "b": 0.5, "c": 0.05}
    arrays["valence_rmse_linear"] = 0.4 + 0 * n_sites
    needed = {"valence": {"0.11": 625, "0.04": None}, "rdf": {}}
    return AnalysisPart("learning_curve", arrays, {"fit": fits, "sites_needed": needed})
