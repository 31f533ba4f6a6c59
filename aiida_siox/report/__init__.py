"""The report of a study: one HTML file with all its figures inside, made from stored nodes only."""

from __future__ import annotations

import pathlib

from aiida import orm

__all__ = ["write_report"]


def write_report(study_node: orm.WorkChainNode, path: str | pathlib.Path, n_cores: int | None = None) -> pathlib.Path:
    """Write the report of a study into one HTML file that needs nothing else.

    Works from nodes only: on a profile without computers, and for a study of which parts failed or are missing.

    :param study_node: node of a StudyWorkChain.
    :param path: of the file; its folder is made when it is not there.
    :param n_cores: cores that the engines had, for the CPU utilisation; ``max_concurrent`` of the study when None.
    :returns: the absolute path of the file.
    :raises ValueError: if the node is no WorkChain, or its tables, data set, calibration and models differ in protocol,
        treatment, settings or calibration.
    """
    # matplotlib, torch and graphviz are loaded when a report is wanted, not when a command asks for its timing only
    from aiida_siox.report.page import write_page
    from aiida_siox.report.study import check_study, study_page
    from aiida_siox.report.study_nodes import read_study

    check_study(study_node)
    return write_page(study_page(read_study(study_node), n_cores), pathlib.Path(path))
