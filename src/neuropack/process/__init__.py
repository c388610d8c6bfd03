"""Work on images: a channel at the voxel size of an atlas. Preprocessing and segmentation are open issues."""
