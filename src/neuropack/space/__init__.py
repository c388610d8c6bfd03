"""Frames, transforms and the atlas. Empty so far: its issue is open."""
