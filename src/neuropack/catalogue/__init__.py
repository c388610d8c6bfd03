"""What releases hold, as tables that are searched in place: Parquet files that DuckDB queries."""

from __future__ import annotations

from neuropack.catalogue.columns import TABLES
from neuropack.catalogue.query import Page, Query
from neuropack.catalogue.search import Catalogue, Stop, StoppedError

__all__ = ["TABLES", "Catalogue", "Page", "Query", "Stop", "StoppedError"]
