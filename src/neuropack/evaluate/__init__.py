"""Scores against ground truth. Empty so far: its issue is open."""
