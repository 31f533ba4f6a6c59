"""Constants of nature that more than one module needs (CODATA 2018)."""

BOHR_ANGSTROM = 0.529177210903
