"""Loads every record set of a Croissant description with mlcroissant; prints name, number of records and fields.

    python mlcroissant_records.py croissant.json

Run in the gate's own environment, without the network: all files are beside the description.
"""

from __future__ import annotations

import json
import sys

import mlcroissant as mlc


def main(path: str) -> int:
    """Print a line of JSON for each record set; 1 where one cannot be loaded."""
    dataset = mlc.Dataset(jsonld=path)
    failed = 0
    for record_set in dataset.metadata.record_sets:
        try:
            rows = list(dataset.records(record_set.id))
        except Exception as error:  # whatever it raises is the finding
            print(json.dumps({"set": record_set.id, "error": f"{type(error).__name__}: {error}"[:500]}))
            failed = 1
            continue
        known = sum(value is not None for row in rows for value in row.values())
        print(json.dumps({"set": record_set.id, "records": len(rows), "values": known}))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
