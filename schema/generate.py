"""Make the committed files from the LinkML modules: python schema/generate.py [--check]

Written are the JSON Schema, the catalogue of fields, the Pydantic model and the manual's page on the schema. With
--check nothing is written: the exit status is 1 and the names of the stale files are printed when some differ. The
same modules give the same bytes on every machine. Needs linkml, which the extra `dev` installs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def targets() -> dict[Path, str]:
    """The text of every generated file."""
    from codegen import json_schema, manual, pydantic_model
    from codegen.catalogue import Catalogue

    logging.disable(logging.WARNING)  # linkml remarks on attributes of the same name in two classes
    root = HERE / "neuropack.yaml"
    catalogue = Catalogue(root).data
    return {
        HERE / "generated" / "neuropack.schema.json": _json(json_schema.generate(root, catalogue), sort=True),
        HERE / "generated" / "fields.json": _json(catalogue, sort=False),
        ROOT / "src" / "neuropack" / "model.py": pydantic_model.generate(root, catalogue),
        ROOT / "docs" / "reference" / "schema.md": manual.generate(catalogue),
    }


def _json(data: object, *, sort: bool) -> str:
    return json.dumps(data, indent=1, sort_keys=sort, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with --check compare them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    options = parser.parse_args(arguments)
    try:
        files = targets()
    except ModuleNotFoundError as error:
        print(f"{error.name} is not installed; it comes with the extra dev: pip install -e .[dev]", file=sys.stderr)
        return 3
    stale = []
    for path, text in files.items():
        if path.is_file() and path.read_bytes() == text.encode():
            continue
        stale.append(path)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
    for path in stale:
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(ROOT).as_posix()}")
    if options.check and stale:
        print("run: python schema/generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
