"""Work on images and labels: a channel at the voxel size of an atlas, and annotations derived from each other.

Preprocessing has a package of its own, `preprocess`; segmentation is an open issue.
"""
