"""A release after its build: changes sealed, findings mended, metadata migrated, versions compared."""
