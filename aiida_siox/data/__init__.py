"""AiiDA data nodes: spectra, sites, tables, data sets and models that carry their physics as methods."""
