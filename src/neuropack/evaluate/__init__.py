"""Scores: how alike two annotations are."""
