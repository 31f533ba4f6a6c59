"""Physics and chemistry as plain functions on numpy arrays and ASE atoms. Imports neither AiiDA nor torch."""
