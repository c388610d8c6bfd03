"""Work on images and labels: a channel at the voxel size of an atlas, and annotations derived from each other.

Preprocessing and segmentation are open issues.
"""
