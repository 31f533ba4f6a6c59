"""WorkChains: they order calculations and create no data themselves."""
