"""One file a format: each takes blocks of pixels and publishes a finished file."""
