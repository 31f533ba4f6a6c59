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

quantity = prediction.quantity
if quantity.is_scalar:
    interval = f"{prediction.coverage:.0%} interval {prediction.low:.2f} to {prediction.high:.2f}"
    print(f"{quantity.title} {prediction.value:.2f} {quantity.unit}, {interval}")
else:
    print(f"{quantity.title} {quantity.note}".rstrip())
    for place, value in zip(quantity.axis.values, prediction.value, strict=True):
        print(f"{place:>7.7} {value:8.4f}" if isinstance(place, str) else f"{place:7.4f} {value:8.4f}")
of = (
    "averaged spectra that training left out" if prediction.split == "averages" else f"sites ({prediction.split} split)"
)
print(f"# RMSE of {of}: {prediction.rmse:.3f} {quantity.unit}")
for note in prediction.notes:
    print(f"# {note}")
