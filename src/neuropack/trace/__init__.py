"""Semi-automated tracing: the best path along a neurite between two points of an image of any size."""

from neuropack.trace.finder import PathFinder
from neuropack.trace.options import Options
from neuropack.trace.path import PathError, TracedPath

__all__ = ["Options", "PathError", "PathFinder", "TracedPath"]
