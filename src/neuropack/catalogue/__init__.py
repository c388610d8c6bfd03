"""What releases hold, as tables that are searched in place: Parquet files that DuckDB queries."""

from __future__ import annotations

from neuropack.catalogue.query import Catalogue, Page, Query

__all__ = ["Catalogue", "Page", "Query"]
