"""Sites to learn from: arrays, targets, splits, spectra brought onto a grid."""
