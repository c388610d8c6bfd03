"""Benchmarks: methods that solve one task on the same images, scored by one definition."""
