"""Physics and chemistry as plain functions on numpy arrays and ASE atoms. Imports neither AiiDA nor torch."""

SCIENCE_VERSION = 3
"""Passed as an input to every calcfunction and CalcJob that wraps this package: raise it whenever a result changes,
because AiiDA's cache hashes the file of the calcfunction only and would go on serving the old result."""
