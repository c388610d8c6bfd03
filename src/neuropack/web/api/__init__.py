"""The endpoints below /api/v1 and /files, a module for each kind of thing."""
