"""What is computed: absorber, edge, neighbours, and all numbers that go with them. One yaml file a material."""

from aiida_siox.materials.material import MATERIALS, Crystal, Material, load_material

__all__ = ["MATERIALS", "Crystal", "Material", "load_material"]
