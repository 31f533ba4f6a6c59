"""Which figures the analysis of a data set has, and what each of them says in plain words.

Every property of the data set gets the figures of its kind; those of the paper keep its numbers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from aiida_siox.report.drawing import Drawing
from aiida_siox.report.figures import averages, curves, novelty, parity, scores, spectra, uncertainty
from aiida_siox.report.records import Parts, SiteRecords
from aiida_siox.science.quantity import Kind, Quantity

Draw = Callable[[SiteRecords, Parts], Drawing]


@dataclasses.dataclass(frozen=True)
class Words:
    """What is said of a figure.

    :param name: of its files.
    :param section: of the report that it stands in.
    :param title: a line.
    :param paper: the figure of the paper that it repeats, or nothing.
    :param explanation: for somebody who measures spectra and does not train networks.
    """

    name: str
    section: str
    title: str
    paper: str
    explanation: str


#: Name of the files of a figure and number in the paper, by the kind of figure and the property.
PAPER = {
    ("networks", "valence"): ("fig3", "Fig. 3"), ("descriptors", "valence"): ("figS4", "Fig. S4"),
    ("windows", "valence"): ("fig5", "Fig. 5"), ("bands", "valence"): ("figS5", "Fig. S5"),
    ("averages", "valence"): ("fig7", "Fig. 7"), ("networks", "rdf"): ("fig4", "Fig. 4"),
    ("windows", "rdf"): ("fig6", "Fig. 6"), ("bands", "rdf"): ("figS6", "Fig. S6"),
    ("averages", "rdf"): ("fig8", "Fig. 8"), ("averages", "oxidation"): ("oxidation", ""),
    ("intervals", "valence"): ("uncertainty", ""),
}  # fmt: skip

#: Kind of figure → part of the analysis, title, what draws it, explanation; by the kind of property.
BY_KIND: dict[Kind, dict[str, tuple[str, str, Callable[..., Drawing], str]]] = {
    Kind.SCALAR: {
        "networks": (
            "splits", "{title} read from the spectrum of a site", parity.networks,
            "Each coloured point is a {element} atom that the networks did not see: its {title} against what they read "
            "from its spectrum; on the line the two agree. Left, other atoms of the same glass were seen, as in the "
            "paper; right, the whole glass is new, which is the honest test. Grey points are atoms that were learned "
            "from. RMSE is the typical error, R² is 1 for perfect readings, no skill is the error of always answering "
            "the mean.",
        ),
        "descriptors": (
            "splits", "The same from three numbers of the spectrum", parity.descriptors,
            "What one gets without a network: a straight line through height of the white line, its area and the "
            "position of the edge. The gap between this figure and the one before is what the shape of the whole "
            "spectrum adds.",
        ),
        "windows": (
            "windows", "{title} from one narrow window of energy", parity.windows,
            "Each panel shows networks that see one narrow window of the spectrum only. The better the points follow "
            "the line, the more that window tells: a guide to which energies must be measured well.",
        ),
        "bands": (
            "windows", "{title} from the lower or the upper half", functools.partial(parity.windows, narrow=False),
            "The same with windows joined to bands: around the edge, and beyond it.",
        ),
        "averages": (
            "averages", "Mean {title} read from averaged spectra", averages.scalars,
            "This is the case of an experiment: one averaged spectrum in, one mean out, of glasses that were not "
            "learned from. (b) shows how far the reading is off at each composition. Networks that learned single "
            "atoms only (red) have never seen a mixture; those that also learned random mixtures of atoms (green) "
            "have. Bars are {coverage}intervals.",
        ),
        "intervals": (
            "uncertainty", "How sure a reading of {title} is", uncertainty.intervals,
            "Every reading comes with {a_coverage}interval. (a) orders all atoms by their reading: {share} of the true "
            "values should lie in the band. (b) counts how many do, over all atoms and for each composition; whiskers "
            "come from resampling whole glasses.",
        ),
    },
    Kind.CURVE: {
        "networks": (
            "splits", "{title} read from the spectrum of a site", curves.networks,
            "(a) sorts all test atoms by the error of the {title} that is read from their spectrum; (b) shows six of "
            "them, from the best (A) to the worst (F), against the true one in grey. Errors depend on how the curves "
            "were made ({note}) and mean nothing without it.",
        ),
        "windows": (
            "windows", "{title} from one narrow window of energy", curves.windows,
            "Each curve sorts the errors of networks that see one narrow window of the spectrum only; lower is better. "
            "Curves near the no-skill line come from windows that hardly tell anything.",
        ),
        "bands": (
            "windows", "{title} from the lower or the upper half", functools.partial(curves.windows, narrow=False),
            "The same with windows joined to bands.",
        ),
        "averages": (
            "averages", "Mean {title} read from averaged spectra", averages.curves,
            "(a) is the error of the mean {title} of every glass; (b) shows the worst glass of each composition "
            "against its true mean in grey, with the errors in the corner in the order of the legend.",
        ),
        "intervals": (
            "uncertainty", "How sure a reading of {title} is", uncertainty.intervals,
            "Every reading comes with {a_coverage}band. (a) shows three atoms, from the best to the worst; (b) counts "
            "how many points of the curves lie in it, over all atoms and for each composition; whiskers come from "
            "resampling whole glasses.",
        ),
    },
    Kind.FRACTIONS: {
        "averages": (
            "averages", "Distribution of {title} read from averaged spectra", averages.distributions,
            "How the {element} atoms divide over the states (by number of ligands, {ligands}), as photoemission would "
            "show it. For each glass the left bar is the truth and the hatched right bar is read from the averaged "
            "spectrum. The total variation below is the share of atoms that is put into a wrong state.",
        ),
    },
    Kind.COUNTS: {},
}  # fmt: skip

SPECTRA: tuple[tuple[Words, Draw], ...] = (
    (
        Words(
            "fig2", "spectra", "Averaged spectra by composition", "Fig. 2",
            "Each line is the mean spectrum of all {element} atoms of one simulated cell: what a beamline would "
            "measure of it. The bands a–h are the energy windows that are tested one by one below.",
        ),
        lambda records, parts: spectra.averaged_spectra(records, spectra.energy_windows(records, parts)),
    ),
    (
        Words(
            "figS3", "spectra", "The spectra of single sites behind the averages", "Fig. S3",
            "Thin lines are single {element} atoms, the dark lines their averages. Where the thin lines differ "
            "strongly from each other, atoms of several oxidation states are mixed, and the average has a shape that "
            "no single atom has.",
        ),
        lambda records, parts: spectra.site_spectra(records),
    ),
)  # fmt: skip

OVERALL: tuple[tuple[Words, Draw], ...] = (
    (
        Words(
            "scores", "scores", "All splits and baselines side by side", "",
            "The typical error of every method on three tests of growing severity: new atoms of known glasses "
            "(random), new glasses (grouped), and glasses of a composition that was never learned (left-out x). A "
            "method is worth its name only where it lies clearly below the mean of the composition and far below no "
            "skill. Shuffled targets check that nothing leaks: they must lie at no skill. Bars are {confidence}"
            "confidence intervals over seeds.",
        ),
        scores.splits_side_by_side,
    ),
    (
        Words(
            "novelty", "uncertainty", "Spectra that the model should refuse", "",
            "The novelty score tells how unlike the learned spectra a spectrum is. Above the threshold the reading is "
            "not to be trusted. The lower panel holds spectra that are wrong on purpose (shifted in energy, of another "
            "element, noise): they should all lie beyond the threshold, and those that are where they belong below it.",
        ),
        novelty.novelty,
    ),
    (
        Words(
            "learning_curve", "uncertainty", "How many sites must be computed", "",
            "The error on new glasses against the number of {element} atoms that were learned from. The line continues "
            "the trend; where it is dotted it is a guess, to be used for planning only.",
        ),
        scores.learning_curves,
    ),
)  # fmt: skip


def figures_of(records: SiteRecords, parts: Parts) -> list[tuple[Words, Draw]]:
    """Return the figures of an analysis: those of every property that the parts speak of, by its kind.

    A property of the paper has its figures also where a part is missing, for the page to say so.
    """
    found = [(filled(words, records, parts), draw) for words, draw in (*SPECTRA, *OVERALL)]
    for quantity in records.quantities.values():
        for figure, (part, title, draw, explanation) in BY_KIND[quantity.kind].items():
            key = (figure, quantity.name)
            if key not in PAPER and not (part in parts and parts[part].covers(quantity.name)):
                continue
            name, paper = PAPER.get(key, (f"{quantity.name}_{figure}", ""))
            section = part if part in ("averages", "uncertainty") else quantity.name
            words = Words(name, section, title, paper, explanation)
            found.append((filled(words, records, parts, quantity), functools.partial(draw, quantity=quantity)))
    return found


def filled(words: Words, records: SiteRecords, parts: Parts, quantity: Quantity | None = None) -> Words:
    """Return words with the property, the material and the settings of the analysis in their places."""
    levels = {
        key: next((part.level(key) for part in parts.values() if part.number(key) is not None), "")
        for key in ("coverage", "confidence")
    }
    known = {
        **levels,
        "a_coverage": f"a {levels['coverage']}" if levels["coverage"] else "an ",
        "share": levels["coverage"].strip() or "most",
        "element": records.element,
        "ligands": " and ".join(records.material.ligands),
        "title": "" if quantity is None else quantity.title,
        "note": "" if quantity is None else quantity.note or "axis and broadening",
    }
    return dataclasses.replace(
        words, title=words.title.format_map(known), explanation=words.explanation.format_map(known)
    )
