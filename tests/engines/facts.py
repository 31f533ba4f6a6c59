"""The PAW sets with which docs/develop/engine_facts.md was measured: before the projectors moved.

They have the second p projector of silicon at 6 Ry and the radial mesh as long as ld1.x makes it; xspectra.x then took
its own radius of 2.7 bohr for them.
"""

from aiida_siox.workflows.atomic_data import AtomicDataWorkChain


def atomic_overrides():
    """Return overrides of protocols/atomic_data.yaml; the families of these sets have labels of their own."""
    defaults = AtomicDataWorkChain.get_protocol_inputs()["parameters"]
    states = [[*state] for state in defaults["ground"]["states"]]
    (second,) = [state for state in states if state[0] == "3P" and state[3] == 0.0]
    second[4] = 6.0
    silicon = {"input": {"rmax": 100.0}, "states": states}
    oxygen = {"input": {"rmax": 100.0}}
    return {"parameters": {"family": {"prefix": "facts"}, "ground": silicon, "hole": silicon, "O": oxygen}}
