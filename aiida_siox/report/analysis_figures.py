"""Which figures the analysis of a data set has, and what each of them says in plain words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from aiida_siox.report.figures import (
    analysis_averages,
    analysis_parity,
    analysis_rdf,
    analysis_scores,
    analysis_spectra,
    analysis_uncertainty,
)
from aiida_siox.report.figures.analysis_common import Drawing, Parts, Source


@dataclasses.dataclass(frozen=True)
class FigureOf:
    """One figure.

    :param name: of its files.
    :param section: of the report that it stands in.
    :param title: a line.
    :param paper: the figure of the paper that it repeats, or nothing.
    :param draw: from the data set and the parts of the analysis to the figure.
    :param explanation: for somebody who measures spectra and does not train networks.
    """

    name: str
    section: str
    title: str
    paper: str
    draw: Callable[[Source, Parts], Drawing]
    explanation: str


FIGURES = (
    FigureOf(
        "fig2", "spectra", "Averaged spectra by composition", "Fig. 2", analysis_spectra.averaged_spectra,
        "Each line is the mean Si K-edge spectrum of all silicon atoms of one simulated glass: what a beamline would "
        "measure of it. With more oxygen (blue to red) the edge moves up in energy and the white line grows. The bands "
        "a–h are the energy windows that are tested one by one below.",
    ),
    FigureOf(
        "figS3", "spectra", "The spectra of single sites behind the averages", "Fig. S3", analysis_spectra.site_spectra,
        "Thin lines are single silicon atoms, the dark lines their averages. Where the thin lines differ strongly from "
        "each other, atoms of several oxidation states are mixed, and the average has a shape that no single atom has.",
    ),
    FigureOf(
        "fig3", "valence", "Valence read from the spectrum of a site", "Fig. 3", analysis_parity.valence_parity,
        "Each coloured point is a silicon atom that the networks did not see: its valence (charge given away, from the "
        "electron density) against what they read from its spectrum; on the line the two agree. Left, other atoms of "
        "the same glass were seen, as in the paper; right, the whole glass is new, which is the honest test. Grey "
        "points are atoms that were learned from. RMSE is the typical error, R² is 1 for perfect readings, no skill is "
        "the error of always answering the mean.",
    ),
    FigureOf(
        "figS4", "valence", "The same from three numbers of the spectrum", "Fig. S4", analysis_parity.descriptor_parity,
        "What one gets without a network: a straight line through height of the white line, its area and the position "
        "of the edge. The gap between this figure and the one before is what the shape of the whole spectrum adds.",
    ),
    FigureOf(
        "fig5", "valence", "Valence from one narrow window of energy", "Fig. 5", analysis_parity.window_parity,
        "Each panel shows networks that see only 6.25 eV of the spectrum. The better the points follow the line, the "
        "more that window tells about the valence: a guide to which energies must be measured well.",
    ),
    FigureOf(
        "figS5", "valence", "Valence from the lower or the upper half", "Fig. S5", analysis_parity.band_parity,
        "The same with four windows each joined to 25 eV: around the edge, and beyond it.",
    ),
    FigureOf(
        "fig4", "rdf", "Distances read from the spectrum of a site", "Fig. 4", analysis_rdf.rdf_of_cases,
        "The radial distribution function g(R) says how many atoms lie at which distance from the silicon atom. (a) "
        "sorts all test atoms by the error of the g(R) that is read from their spectrum; (b) shows six of them, from "
        "the best (A) to the worst (F), against the true g(R) in grey. Errors of g(R) depend on its broadening σ and "
        "mean nothing without it.",
    ),
    FigureOf(
        "fig6", "rdf", "Distances from one narrow window of energy", "Fig. 6", analysis_rdf.window_errors,
        "Each curve sorts the errors of networks that see only 6.25 eV of the spectrum; lower is better. Curves near "
        "the no-skill line come from windows that hardly tell distances.",
    ),
    FigureOf(
        "figS6", "rdf", "Distances from the lower or the upper half", "Fig. S6", analysis_rdf.band_errors,
        "The same with four windows each joined to 25 eV.",
    ),
    FigureOf(
        "fig7", "averages", "Mean valence read from averaged spectra", "Fig. 7", analysis_averages.averaged_valence,
        "This is the case of an experiment: one averaged spectrum in, one mean valence out, of glasses that were not "
        "learned from. (b) shows how far the reading is off at each composition. Networks that learned single atoms "
        "only (red) have never seen a mixture; those that also learned random mixtures of atoms (green) have. Bars "
        "are 90 % intervals.",
    ),
    FigureOf(
        "fig8", "averages", "Mean distances read from averaged spectra", "Fig. 8", analysis_averages.averaged_rdf,
        "(a) is the error of the mean g(R) of every glass; (b) shows the worst glass of each composition against its "
        "true mean g(R) in grey, with the errors in the corner in the order of the legend.",
    ),
    FigureOf(
        "oxidation", "averages", "Oxidation states read from averaged spectra", "",
        analysis_averages.oxidation_distribution,
        "How the silicon atoms divide over Si⁰ to Si⁴⁺ (by number of oxygen neighbours), as photoemission would show "
        "it. For each glass the left bar is the truth and the hatched right bar is read from the averaged spectrum. "
        "The total variation below is the share of atoms that is put into a wrong state.",
    ),
    FigureOf(
        "scores", "scores", "All splits and baselines side by side", "", analysis_scores.splits_side_by_side,
        "The typical error of every method on three tests of growing severity: new atoms of known glasses (random), "
        "new glasses (grouped), and glasses of a composition that was never learned (left-out x). A method is worth "
        "its name only where it lies clearly below the mean of the composition and far below no skill. Shuffled "
        "targets check that nothing leaks: they must lie at no skill. Bars are 90 % confidence intervals over seeds.",
    ),
    FigureOf(
        "uncertainty", "uncertainty", "How sure a reading is", "", analysis_uncertainty.uncertainty_figure,
        "Every reading comes with a 90 % interval. (a) orders all atoms by their reading: nine of ten true values "
        "should lie in the band. (b) counts how many do, over all atoms and for each composition; whiskers come from "
        "resampling whole glasses. (c) shows the same bands for g(R), point by point.",
    ),
    FigureOf(
        "novelty", "uncertainty", "Spectra that the model should refuse", "", analysis_uncertainty.novelty_figure,
        "The novelty score tells how unlike the learned spectra a spectrum is. Above the threshold the reading is not "
        "to be trusted. The lower panel holds spectra that are wrong on purpose (shifted in energy, of another "
        "element, noise): they should all lie beyond the "
        "threshold, and those that are where they belong below it.",
    ),
    FigureOf(
        "learning_curve", "uncertainty", "How many sites must be computed", "", analysis_scores.learning_curves,
        "The error on new glasses against the number of silicon atoms that were learned from. The line continues the "
        "trend; where it is dotted it is a guess, to be used for planning only.",
    ),
)  # fmt: skip
