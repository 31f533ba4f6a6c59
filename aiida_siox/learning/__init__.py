"""Networks, training, splits and metrics on torch tensors. Imports no AiiDA."""
