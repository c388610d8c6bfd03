"""What a server says of itself on standard error: for people, or a JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

NAME = "neuropack.web"
LOG = logging.getLogger(NAME)


def start(as_json: bool, stream: TextIO | None = None) -> None:
    """Have the server and uvicorn log: as JSON each request too, for people only what went wrong."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(Json() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name, level in ((NAME, logging.INFO if as_json else logging.WARNING), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True  # the application logs its requests itself


class Json(logging.Formatter):
    """A record as one line of JSON, with what was given as ``extra={"fields": {...}}``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {"time": when, "level": record.levelname.lower(), "message": record.getMessage()}
        said |= getattr(record, "fields", {})
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)
