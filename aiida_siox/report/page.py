"""What every page of a report shares: its templates, and numbers as text."""

from __future__ import annotations

import jinja2
import markupsafe


def environment() -> jinja2.Environment:
    """Return the environment of the templates: escaping, and undefined names are errors."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("aiida_siox.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.filters["pretty"] = pretty
    return templates


def number(value: float | None, digits: int) -> str:
    """Return a number with a fixed count of decimals, a dash where there is none."""
    return "–" if value is None else f"{float(value):.{digits}f}".replace("-", "−")


def signed(value: float, digits: int) -> str:
    """Return a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def pretty(text: str) -> markupsafe.Markup:
    """Return text with n_O set as the symbol it is."""
    return markupsafe.Markup(str(markupsafe.escape(text)).replace("n_O", "<i>n</i><sub>O</sub>"))


def duration(seconds: float) -> str:
    """Return seconds in the unit that reads best."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"


def css(colour: tuple[float, ...]) -> str:
    """Return a colour of matplotlib as text for CSS."""
    red, green, blue = (round(255 * value) for value in colour[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
