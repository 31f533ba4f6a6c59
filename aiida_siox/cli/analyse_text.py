"""The scores of an analysis as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from aiida_siox.cli.output.numbers import number
from aiida_siox.cli.output.tables import print_table
from aiida_siox.report.reading import dataset_records
from aiida_siox.report.records import seed_words

Attributes = Mapping[str, Any]

#: Columns of the table of splits: baselines that learn something, and such that do not.
BASELINES = {
    "descriptors": "descriptors",
    "kernel_ridge": "kernel ridge",
    "composition_mean": "composition mean",
    "shuffled": "shuffled",
}


def print_analysis(dataset: Any, parts: Mapping[str, Attributes]) -> None:
    """Print the scores of each part that is there.

    :param dataset: the DatasetData.
    :param parts: attributes of the AnalysisData by part.
    """
    records = dataset_records(dataset)
    notes = [f"{quantity.title}: {quantity.note}" for quantity in records.quantities.values() if quantity.note]
    title = ", ".join([f"data set {dataset.pk}: {len(records.spectra)} sites", records.counted, *notes])
    for part, attributes in parts.items():
        PRINTERS.get(part, _print_scores)(f"{part} ({title})", attributes)


def _print_splits(title: str, attributes: Attributes) -> None:
    """Print all splits side by side, each RMSE beside no skill and the baselines."""
    rows = []
    for target, kinds in _scores(attributes).items():
        for kind, score in kinds.items():
            others = score.get("baselines") or {}
            rows.append(
                [
                    f"{target} / {_unit(attributes, target)}",
                    kind,
                    interval(score.get("rmse")),
                    *(mean_of(score.get(key)) for key in ("r2", "rmse_no_skill", "rmse_single")),
                    *(mean_of(others.get(name)) for name in BASELINES),
                    f"{score.get('n_train', '-')}/{score.get('n_test', '-')}",
                ]
            )
    columns = ["target", "split", _rmse(attributes), "R²", "no skill", "one network", *BASELINES.values()]
    print_table(f"{title}, {seed_words(attributes.get('n_seeds'))}", [*columns, "train/test"], rows)


def _print_windows(title: str, attributes: Attributes) -> None:
    """Print the RMSE from each window of energies."""
    parameters = attributes.get("parameters") or {}
    limits = dict(zip(parameters.get("names", []), parameters.get("windows_eV", []), strict=False))
    rows = []
    for target, windows in _scores(attributes).items():
        for name, score in windows.items():
            low, high = limits.get(name, (None, None))
            energies = "-" if low is None else f"{low:g} to {high:g}"
            row = [target, name, energies, interval(score.get("rmse"))]
            rows.append([*row, mean_of(score.get("r2")), mean_of(score.get("rmse_no_skill"))])
    columns = ["target", "window", "eV", _rmse(attributes), "R²", "no skill"]
    print_table(f"{title}, {seed_words(attributes.get('n_seeds'))}", columns, rows)


def _print_averages(title: str, attributes: Attributes) -> None:
    """Print how well averaged spectra are read, trained on sites and on mixtures."""
    rows = []
    for target, variants in _scores(attributes).items():
        for variant, score in variants.items():
            keys = ("rmse", "r2", "bias", "rmse_no_skill", "total_variation")
            rows.append([target, variant, *(mean_of(score.get(key)) for key in keys)])
    title = f"{title}, {seed_words(attributes.get('n_seeds'))}"
    print_table(title, ["target", "trained on", "RMSE", "R²", "bias", "no skill", "total variation"], rows)
    for target, variants in _scores(attributes).items():
        for variant, score in variants.items():
            pairs = score.get("bias_by_x") or []
            if pairs:
                click.echo(
                    f"  {target}, bias of {variant} by x: " + ", ".join(f"{x:g}: {bias:+.3f}" for x, bias in pairs)
                )


def _print_uncertainty(title: str, attributes: Attributes) -> None:
    """Print what the intervals cover and what is flagged."""
    rows, asked = [], attributes.get("coverage_asked")
    for target, entry in (attributes.get("coverage") or {}).items():
        rows.append([target, interval(entry, "coverage"), mean_of(entry.get("mean_width")), _unit(attributes, target)])
    method = (attributes.get("method") or {}).get("calibrator", "method not stated")
    numbers = ", ".join(
        f"{target} {n}"
        for target, n in (attributes.get("n_repetitions") or {}).items()
        if target in (attributes.get("coverage") or {})
    )
    title = f"{title}, {method}, repetitions: {numbers or 'not stated'}"
    wanted = "coverage" if asked is None else f"coverage of {asked:.0%} intervals"
    print_table(title, ["target", f"{wanted} (bootstrap over configurations)", "mean width", "unit"], rows)
    if attributes.get("false_alarms") is not None:
        click.echo(f"  False alarms on held-out sites: {mean_of(attributes['false_alarms'])}")
    for probe in attributes.get("probes") or []:
        state = "flagged" if probe.get("flagged") else "NOT flagged"
        click.echo(f"  {probe.get('name')}: {state} (score {mean_of(probe.get('score'))})")


def _print_learning_curve(title: str, attributes: Attributes) -> None:
    """Print the power laws and how many sites would be needed."""
    repeats = (attributes.get("parameters") or {}).get("n_repeats", "number not stated")
    click.echo(f"{title}, repetitions: {repeats}")
    for target, fit in (attributes.get("fit") or {}).items():
        words = ", ".join(f"{key} {mean_of(value)}" for key, value in (fit or {}).items())
        click.echo(f"  {target}: RMSE = a · sites^(-b) + c with {words or 'no fit'}")
    for target, error in (attributes.get("linear_rmse") or {}).items():
        click.echo(f"  {target}: linear regression on three descriptors {mean_of(error)}")
    for target, needed in (attributes.get("sites_needed") or {}).items():
        text = ", ".join(f"{goal}: {'out of reach' if count is None else count}" for goal, count in needed.items())
        if text:
            click.echo(f"  sites needed for an RMSE of {target} of {text}")


def _print_scores(title: str, attributes: Attributes) -> None:
    """Print the scores of a part of which nothing more is known."""
    scores = _scores(attributes)
    if scores:
        rows = [[str(target), mean_of(score)] for target, score in scores.items()]
        print_table(title, ["target", "RMSE"], rows)


PRINTERS: dict[str, Callable[[str, Attributes], None]] = {
    "splits": _print_splits,
    "windows": _print_windows,
    "averages": _print_averages,
    "uncertainty": _print_uncertainty,
    "learning_curve": _print_learning_curve,
}


def _unit(attributes: Attributes, target: str) -> str:
    """Return the unit of a property."""
    return str(((attributes.get("quantities") or {}).get(target) or {}).get("unit", "-"))


def _rmse(attributes: Attributes) -> str:
    """Return the heading of scores with intervals."""
    confidence = attributes.get("confidence")
    return "RMSE" if confidence is None else f"RMSE ({confidence:.0%} interval)"


def _scores(attributes: Attributes) -> Mapping[str, Any]:
    return attributes.get("scores") or {}


def mean_of(value: Any, key: str = "mean") -> str:
    """Return a score as text: a number, ``{mean, …}``, or either inside ``{rmse: …}``."""
    if isinstance(value, Mapping):
        return mean_of(value.get(key, value.get("rmse")))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return str(value) if isinstance(value, int) else number(value, 3)


def interval(value: Any, key: str = "mean") -> str:
    """Return a score with its interval, ``0.110 (0.105 to 0.115)``, as far as it is known."""
    text = mean_of(value, key)
    if isinstance(value, Mapping):
        low, high = value.get("low"), value.get("high")
        if low is not None and high is not None and low < high:  # one seed has none
            text += f" ({number(low, 3)} to {number(high, 3)})"
    return text
