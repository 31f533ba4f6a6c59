"""Physics and chemistry as plain functions on numpy arrays and ASE atoms. Imports neither AiiDA nor torch."""

SCIENCE_VERSION = 5
"""Passed as an input to every calcfunction that wraps this package: raise it whenever a result changes, because AiiDA's
cache hashes the file of the calcfunction only and would go on serving the old result. Jobs, which cost more, have a
``CACHE_VERSION`` of their own."""
