"""How Sphinx builds the manual."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "neuropack"
author = "The neuropack developers"
project_copyright = author
version = release = installed("neuropack")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "none"

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}

html_theme = "furo"
html_title = f"neuropack {version}"
html_copy_source = False
html_show_copyright = False
