<<<<<<< HEAD
"""Scores: how alike two annotations are."""
=======
"""Scores: agreement of annotators. Those against ground truth are an open issue."""
>>>>>>> derive
