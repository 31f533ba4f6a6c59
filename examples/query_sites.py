"""Find sites in the provenance graph: ``verdi run examples/query_sites.py [CONFIGURATION]``.

All sites with two O neighbours and a valence above 1.5 e; then the spectra of one configuration, given by the PK of its
structure (default: that of the first site found).
"""

import sys

from aiida import orm

from aiida_siox.data.site import SiteData

query = orm.QueryBuilder()
query.append(
    SiteData,
    filters={"attributes.coordination.O": 2, "attributes.valence": {">": 1.5}},
    project=["id", "attributes.formula", "attributes.site_index", "attributes.valence", "attributes.protocol"],
)
sites = query.all()
print(f"{len(sites)} sites with n_O = 2 and a valence above 1.5 e")
for pk, formula, index, valence, protocol in sites:
    print(f"SiteData<{pk}>: {formula}, site {index}, {valence:+.2f} e, protocol {protocol}")

if len(sys.argv) > 1:
    structure = orm.load_node(sys.argv[1])
elif sites:
    structure = orm.load_node(sites[0][0]).creator.inputs.structure
else:
    sys.exit("Give the PK of a structure to see its spectra.")

collect = {"attributes.process_label": "collect"}
query = orm.QueryBuilder()
query.append(orm.StructureData, filters={"id": structure.pk}, tag="structure")
query.append(orm.CalcFunctionNode, filters=collect, with_incoming="structure", tag="collect")
query.append(SiteData, filters={"attributes.status": "done"}, with_incoming="collect", project="*")
for site in query.all(flat=True):
    print(f"{structure.get_formula()}, site {site.site_index}: white line at {site.spectrum.white_line:.2f} eV")
