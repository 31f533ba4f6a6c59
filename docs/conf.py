"""Configuration of Sphinx."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from aiida_siox import __version__

project = "aiida-siox"
author = "The aiida_siox developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "workchain_pages", "reference_pages"]
autodoc_typehints = "description"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"aiida-siox {version}"
exclude_patterns = ["_build", "validation", "structures"]  # their tables are included, not pages
