"""How networks are trained: parameters, the loop, cross-validation, scores of splits."""
