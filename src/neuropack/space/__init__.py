"""Frames, transforms and the atlas."""
