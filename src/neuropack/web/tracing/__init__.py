"""Tracing on the server: sessions beside the releases, searches for paths, and commits into the releases."""

from __future__ import annotations

from neuropack.web.tracing.sessions import Open, Tracing, tracing_of

__all__ = ["Open", "Tracing", "tracing_of"]
