"""How Sphinx builds the manual."""

from __future__ import annotations

from importlib.metadata import version as installed
from inspect import getdoc
from typing import Any

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

napoleon_use_ivar = True  # a dataclass's fields are described once, in its docstring
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "exclude-members": "__init__, __new__"}

html_theme = "furo"
html_title = f"neuropack {version}"
html_copy_source = False
html_show_copyright = False


def plain_property(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Take back what napoleon makes of a property: it reads "what it is: more of it" as a type and a text."""
    if what == "property":
        lines[:] = [*(getdoc(obj) or "").splitlines(), ""]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_property, priority=900)  # after napoleon
