"""Pages, API and tracing over releases, on one port."""
