"""Runs of the WorkChains with the mock engines that several tests look at."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mocks.fixtures import MockEngines, Run


@pytest.fixture(scope="session")
def troubled_targets(mock_engines: MockEngines, mock_targets: Any) -> Run:
    """Return the three sites of quartz at two engine jobs at a time: 0 gets through in the end, 1 fails, 2 as well.

    Site 0 needs more Lanczos iterations than the settings give. Site 1 never converges. The SCF of site 2 is killed
    once in the middle.
    """
    mock_engines.reset()
    mock_engines.rules(
        {"engine": "xspectra", "site": 0, "mode": "exhausted", "needs_xniter": 6000},
        {"engine": "xspectra", "site": 1, "mode": "exhausted"},
        {"engine": "pw", "stage": "hole", "site": 2, "mode": "cut", "times": 1},
        {"stage": "hole", "gather": 2, "timeout": 20, "linger": 0},
        {"engine": "pw", "stage": "hole", "gather": 3, "timeout": 4, "linger": 0, "times": 2},  # one too many
    )
    node = mock_targets()
    run = Run(node, mock_engines.intervals())
    mock_engines.reset()
    return run
