"""One file a format: each turns a raw file into Volumes."""
