"""Preprocessing and classical segmentation. Empty so far: its issue is open."""
