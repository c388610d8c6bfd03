"""Scores: agreement of annotators. Those against ground truth are an open issue."""
