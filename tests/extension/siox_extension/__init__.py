"""A property, a material, a calibrator and a reader for aiida_siox."""
