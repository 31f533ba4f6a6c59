"""Networks from a spectrum to a property, alone and as an ensemble."""
