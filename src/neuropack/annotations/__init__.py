"""Neurons, masks, boxes and labels of annotators. Empty so far: its issue is open."""
