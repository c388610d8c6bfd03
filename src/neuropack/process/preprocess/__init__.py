"""Preprocessing: steps that make an image from an image, each with a pass that estimates what it needs.

A step has two functions. The one that estimates looks at sampled blocks only, so it is bounded whatever the size of
the image; what it returns is plain data (numbers, lists, mappings) that JSON takes without loss. The one that
applies it makes a Volume that is computed as it is read. Pixels are float32 between steps.
"""
