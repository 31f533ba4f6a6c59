"""Constants of nature that more than one module needs."""

#: CODATA 2018.
BOHR_ANGSTROM = 0.529177210903
#: One Rydberg in eV as Quantum ESPRESSO has it (CODATA 2018): for what its programs print in eV, and xspectra.x's axis.
RYDBERG_QE_EV = 13.605693122994
#: The same as aiida-quantumespresso converts it (qe_tools, CODATA 2010), so that Ry → eV → Ry of its outputs is exact.
RYDBERG_AIIDA_EV = 13.6056917253
