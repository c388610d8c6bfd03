"""Training sets, models and predictions."""
