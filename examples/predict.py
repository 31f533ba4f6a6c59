"""Read what a model predicts from a measured spectrum: `verdi run examples/predict.py MODEL FILE`.

MODEL is the PK or UUID of a ModelData; FILE has two columns, energy in eV and absorption.
"""

import sys

from aiida import orm

from aiida_siox.science.readers import read_spectrum_file

if len(sys.argv) != 3:
    sys.exit(__doc__)

model = orm.load_node(sys.argv[1])
try:
    prediction = model.predict(read_spectrum_file(sys.argv[2]))
except ValueError as exception:
    sys.exit(f"Refused: {exception}")

if prediction.target == "valence":
    interval = f"{prediction.coverage:.0%} interval {prediction.low:.2f} to {prediction.high:.2f} e"
    print(f"valence {prediction.value:.2f} e, {interval}")
elif prediction.target == "oxidation":
    print("fractions of Si0 to Si4+: " + " ".join(f"{fraction:.2f}" for fraction in prediction.value))
else:
    print(f"g(R), broadened by {prediction.sigma_angstrom} Å:")
    for r, g in zip(prediction.r_angstrom, prediction.value, strict=True):
        print(f"{r:7.4f} {g:8.4f}")
of = (
    "averaged spectra that training left out" if prediction.split == "averages" else f"sites ({prediction.split} split)"
)
print(f"# RMSE of {of}: {prediction.rmse:.3f} {prediction.unit}")
for note in prediction.notes:
    print(f"# {note}")
