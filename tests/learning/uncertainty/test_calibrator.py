"""CV+ by hand, its coverage on exchangeable data, and the calibrators on errors that grow (synthetic)."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aiida_siox.learning.uncertainty import calibrator
from aiida_siox.learning.uncertainty.calibrator import CALIBRATORS, cv_plus_interval, order_index, quantile_index
from aiida_siox.learning.uncertainty.estimator import ESTIMATORS
from aiida_siox.learning.uncertainty.evaluator import EVALUATORS, covered
from aiida_siox.learning.uncertainty.left_out import LeftOut
from tests.learning.toy import toy_hyper


@pytest.mark.parametrize(
    ("n", "coverage", "index"),
    [
        (9, 0.9, 9),
        (10, 0.9, 10),
        (19, 0.9, 18),
        (8, 0.9, 9),
        (19, 0.55, 11),
        (99, 0.95, 95),
        (4, 0.6, 3),
        (2, 1 / 3, 1),
    ],
)
def test_order_index_is_exact(n, coverage, index):
    assert order_index(n, coverage) == index


@pytest.mark.parametrize(
    ("n", "n_groups", "index"),
    [(90, 9, 90), (80, 8, 81), (205, 28, 192), (19, 19, 18), (0, 0, 1)],  # 0.9 · 29/28 · 205 = 191.1
)
def test_order_index_of_groups(n, n_groups, index):
    assert order_index(n, 0.9, n_groups) == index


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.1, 90])
def test_bad_coverage(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        order_index(10, coverage)


def test_by_hand():
    # folds 0, 0, 1, 1 with predictions 1 and 2: upper ends 1.1, 1.5, 2.2, 2.4; lower ends 0.9, 0.5, 1.8, 1.6
    residuals, fold = [0.1, 0.5, 0.2, 0.4], [0, 0, 1, 1]
    low, high = cv_plus_interval([[1.0], [2.0]], residuals, fold, 0.6)  # ⌈0.6 · 5⌉ = 3rd
    assert (low[0], high[0]) == pytest.approx((0.9, 2.2))
    low, high = cv_plus_interval([[1.0], [2.0]], residuals, fold, 0.8)  # 4th
    assert (low[0], high[0]) == pytest.approx((0.5, 2.4))
    low, high = cv_plus_interval([[1.0], [2.0]], residuals, fold, 0.81)  # ⌈4.05⌉ = 5 of 4
    assert (low[0], high[0]) == (-math.inf, math.inf)
    # the scales 1 and 3: upper ends 1.1, 1.5, 2.6, 3.2; lower ends 0.9, 0.5, 1.4, 0.8
    low, high = cv_plus_interval([[1.0], [2.0]], residuals, fold, 0.6, [[1.0], [3.0]])
    assert (low[0], high[0]) == pytest.approx((0.8, 2.6))


def test_outputs_and_chunks_are_independent(monkeypatch):
    rng = np.random.default_rng(0)
    predictions, residuals = rng.normal(size=(3, 11, 4)), np.abs(rng.normal(size=(20, 4)))
    fold, scales = rng.integers(0, 3, 20), rng.uniform(0.5, 2, (3, 11, 4))
    for given in (None, scales):
        whole = cv_plus_interval(predictions, residuals, fold, 0.8, given)
        monkeypatch.setattr(calibrator, "_CHUNK", 1)
        pieces = cv_plus_interval(predictions, residuals, fold, 0.8, given)
        monkeypatch.undo()
        np.testing.assert_array_equal(whole, pieces)
        for j in range(4):
            alone = cv_plus_interval(
                predictions[..., j], residuals[:, j], fold, 0.8, None if given is None else given[..., j]
            )
            np.testing.assert_array_equal(np.array(whole)[..., j], alone)


def linear_cv(x: np.ndarray, y: np.ndarray, n_folds: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return slope and intercept of each fold's fit, the fold of each row, and the signed out-of-fold residuals."""
    fold = np.arange(len(x)) % n_folds
    fits = np.array([np.polyfit(x[fold != k], y[fold != k], 1) for k in range(n_folds)])
    return fits, fold, y - (fits[fold, 0] * x + fits[fold, 1])


def covered_parts(noise, normalised: bool, n: int = 40, repeats: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Return coverage and mean width of 90 % intervals for quiet and loud sites of a line with noise (synthetic)."""
    rng = np.random.default_rng(7)
    inside, widths = np.zeros((repeats, 2)), np.zeros((repeats, 2))
    for i in range(repeats):
        x = rng.uniform(0, 1, n + 200)
        scale = noise(x)
        y = 2 * x - 1 + scale * rng.normal(size=len(x))
        fits, fold, residuals = linear_cv(x[:n], y[:n], 5)
        new = x[n:]
        predictions = fits[:, :1] * new + fits[:, 1:]
        errors = np.abs(residuals) / (scale[:n] if normalised else 1.0)
        scales = np.tile(scale[n:], (5, 1)) if normalised else None
        low, high = cv_plus_interval(predictions, errors, fold, 0.9, scales)
        hit = covered(low, high, y[n:])
        for j, rows in enumerate((new < 0.5, new >= 0.5)):
            inside[i, j], widths[i, j] = hit[rows].mean(), (high - low)[rows].mean()
    return inside.mean(axis=0), widths.mean(axis=0)


def test_coverage_of_exchangeable_data():
    parts, widths = covered_parts(lambda x: np.full_like(x, 0.3), normalised=False)
    assert parts.mean() == pytest.approx(0.9, abs=0.015)
    np.testing.assert_allclose(parts, 0.9, atol=0.03)
    # ±1.645 σ and a little more, for the lines are fitted to few points
    assert 2 * 1.645 * 0.3 < widths.mean() < 1.15 * 2 * 1.645 * 0.3


def test_quantile_index_by_hand():
    # of three configurations; the least order of the others that holds a residual: 1 of 4 holds 0.1, and so on
    residuals = np.array([0.1, 0.5, 0.2, 0.3, 0.4, 0.6])[:, None]
    groups = np.array(["a", "a", "b", "b", "c", "c"])
    # needed: a 1/4 and 4/4, b 2/4 and 2/4, c 4/4 and 5/4. Half of the six: 0.5, between 0.5·7/6·6 and 0.5·4/3·6
    assert quantile_index(residuals, groups, 0.5).tolist() == [4]
    # four of six need 4/4, the sixth of six residuals; the limits are ⌈0.6 · 7⌉ = 5 and ⌈0.6 · 4/3 · 6⌉ = 5
    assert quantile_index(residuals, groups, 0.6).tolist() == [5]
    assert quantile_index(residuals, groups, 0.75).tolist() == [6]
    assert quantile_index(residuals, groups, 0.76).tolist() == [7], "three configurations are too few"


def test_quantile_index_between_its_limits():
    """Sites that are one group each, and groups whose sites all err alike, give the two known quantiles."""
    rng = np.random.default_rng(2)
    alone = rng.uniform(size=(60, 3))
    assert quantile_index(alone, np.arange(60), 0.9).tolist() == [order_index(60, 0.9)] * 3
    alike = np.repeat(rng.uniform(size=(20, 3)), 6, axis=0)
    found = quantile_index(alike, np.repeat(np.arange(20), 6), 0.9)
    ordered = np.sort(alike, axis=0)
    np.testing.assert_array_equal(ordered[found - 1, range(3)], ordered[order_index(120, 0.9, 20) - 1])


def coverage_of_groups(offset: float, quantile, n_groups: int = 20, size: int = 8, repeats: int = 1500) -> float:
    """Return how many sites of a new group are held, with errors that groups share in part (synthetic)."""
    rng, hits = np.random.default_rng(3), []
    for _ in range(repeats):
        offsets = offset * rng.normal(size=n_groups + 1)
        errors = np.abs(offsets[:, None] + 0.3 * rng.normal(size=(n_groups + 1, size)))
        groups = quantile(np.repeat(np.arange(n_groups), size))
        fold = np.zeros(n_groups * size, dtype=int)
        _, high = cv_plus_interval([[0.0]], errors[1:].ravel(), fold, 0.9, groups=groups)
        hits.append(float((errors[0] <= high[0]).mean()))
    return float(np.mean(hits))


def test_coverage_of_groups_with_an_offset_of_their_own():
    """Only with few groups in mind do intervals hold, and without an offset they are not too wide."""
    assert 0.895 <= coverage_of_groups(1.0, lambda groups: groups) < 0.94
    assert coverage_of_groups(1.0, lambda groups: np.arange(len(groups))) < 0.89
    assert coverage_of_groups(0.0, lambda groups: groups) == pytest.approx(0.905, abs=0.01)


def test_scales_even_out_the_coverage_of_heteroscedastic_data():
    def noise(x):
        return 0.05 + 0.6 * x

    plain, plain_widths = covered_parts(noise, normalised=False)
    scaled, scaled_widths = covered_parts(noise, normalised=True)
    assert plain.mean() == pytest.approx(0.9, abs=0.015)
    assert scaled.mean() == pytest.approx(0.9, abs=0.015)
    assert np.ptp(plain) > 0.1 > 0.03 > np.ptp(scaled)
    assert scaled_widths.mean() < plain_widths.mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [[0.1]], [0]), "do not fit"),
        (([[1.0]], [0.1], [0, 0]), "one for each site"),
        (([[1.0]], [0.1], [1]), "fold 1, but there are networks of 1 folds"),
        (([[1.0]], [-0.1], [0]), "not negative"),
        (([[1.0]], [np.nan], [0]), "finite"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cv_plus_interval(*arguments, 0.5)


def test_refused_scales():
    with pytest.raises(ValueError, match="scales must be positive"):
        cv_plus_interval([[1.0]], [0.1], [0], 0.5, [[0.0]])


class Line:
    """A line with noise that grows with it, fitted in five folds of configurations (synthetic)."""

    def __init__(self, seed: int, n: int = 200) -> None:
        rng = np.random.default_rng(seed)
        x = rng.uniform(0, 1, 2 * n)
        y = 2 * x - 1 + (0.05 + 0.6 * x) * rng.normal(size=2 * n)
        fits, fold, residuals = linear_cv(x[:n], y[:n], 5)
        predicted = (y[:n] - residuals)[:, None]
        self.left_out = LeftOut(x[:n, None], fold, y[:n, None], predicted, predicted * 0, np.arange(n))
        self.members = (fits[:, :1] * x[n:] + fits[:, 1:])[..., None]
        self.spectra, self.reference, self.loud = x[n:, None], y[n:, None], x[n:] > 0.5


@pytest.fixture(scope="module")
def judged():
    """Return coverage of quiet and of loud sites and the mean width, by calibrator, over many lines."""
    settings, found = toy_hyper().uncertainty, {name: [] for name in CALIBRATORS}
    for line in map(Line, range(60)):
        for name, kind in CALIBRATORS.items():
            fitted = kind.fit(line.left_out, settings)
            low, high = fitted.interval(line.members, line.spectra, 0.9)
            inside = covered(low, high, line.reference)[:, 0]
            found[name].append((inside[~line.loud].mean(), inside[line.loud].mean(), (high - low).mean()))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


def test_calibrators_cover_what_they_say(judged):
    for name, (quiet, loud, _) in judged.items():
        assert (quiet + loud) / 2 == pytest.approx(0.9, abs=0.015), name


def test_scaled_calibrators_are_as_wide_as_the_error(judged):
    """And so narrower in the mean; the same width everywhere is too wide for the quiet and too narrow for the loud."""
    gap = {name: quiet - loud for name, (quiet, loud, _) in judged.items()}
    assert gap["cv_plus"] > 0.12
    for name in ("cv_plus_scaled", "cv_scaled"):
        assert 0 < gap[name] < 0.85 * gap["cv_plus"]
        assert judged[name][2] < 0.93 * judged["cv_plus"][2]
    assert judged["cv_scaled"][2] <= judged["cv_plus_scaled"][2], "the scatter of the folds is not counted twice"


def test_a_constant_estimator_scales_nothing():
    line = Line(3)
    settings = toy_hyper(uncertainty={"estimator": "constant"}).uncertainty
    plain, scaled = (
        CALIBRATORS[name].fit(line.left_out, settings).interval(line.members, line.spectra, 0.9)
        for name in ("cv_plus", "cv_plus_scaled")
    )
    np.testing.assert_allclose(plain, scaled)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_state_and_back(name):
    line = Line(4)
    fitted = CALIBRATORS[name].fit(line.left_out, toy_hyper().uncertainty)
    again = CALIBRATORS[name].from_state(fitted.state())
    ends = [each.interval(line.members, line.spectra, 0.9) for each in (fitted, again)]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    assert again.suffice(0.9)
    with pytest.raises(ValueError, match="residuals, folds and groups do not fit"):
        CALIBRATORS[name].from_state({**fitted.state(), "fold": np.zeros(3, dtype=int)})


def test_too_few_left_out():
    line = Line(5, n=8)
    for kind in CALIBRATORS.values():
        fitted = kind.fit(line.left_out, toy_hyper().uncertainty)
        assert not fitted.suffice(0.9)
        assert np.isinf(fitted.interval(line.members, line.spectra, 0.9)).all()


def test_each_registry_has_what_the_protocol_names():
    chosen = toy_hyper().uncertainty
    assert chosen.estimator in ESTIMATORS
    assert chosen.calibrator in CALIBRATORS
    assert chosen.evaluator in EVALUATORS
