"""What is computed: absorber, edge, neighbours, and all numbers that go with them. One yaml file a material."""

from aiida_siox.materials.material import MATERIALS, Material, load_material

__all__ = ["MATERIALS", "Material", "load_material"]
