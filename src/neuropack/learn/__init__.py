"""Training sets, models, predictions. Empty so far: its issue is open."""
