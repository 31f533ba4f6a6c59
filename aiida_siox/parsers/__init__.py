"""AiiDA parsers: thin shells around the pure text parsers in ``raw``."""
