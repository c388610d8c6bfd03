"""Semi-automated tracing: the best path along a neurite between two points of an image of any size."""

from neuropack.trace.finder import Options, PathFinder
from neuropack.trace.path import PathError, TracedPath

__all__ = ["Options", "PathError", "PathFinder", "TracedPath"]
