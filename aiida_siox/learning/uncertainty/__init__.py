"""How sure a prediction is: errors that are left out, estimator, calibrator, evaluator, and what is unlike training."""
