"""``python -m neuropack``."""

from neuropack.cli import entry

entry()
