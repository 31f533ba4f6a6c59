"""CalcJobs and calcfunctions: thin shells around ``science`` and ``learning``."""
