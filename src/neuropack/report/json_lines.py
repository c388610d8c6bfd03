"""A report as JSON Lines: one line an issue, so that it can be read as a stream and searched with grep."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from neuropack.issue import Report


def to_jsonl(report: Report) -> str:
    """A line an issue, then a line an accepted one, then a line that sums up; each says its ``kind``."""
    whole = report.to_dict()
    last = {"kind": "summary", **{k: whole[k] for k in ("clean", "counts", "checked", "release")}}
    last["counts"] = {**whole["counts"], "accepted": len(report.accepted)}
    lines: list[dict[str, Any]] = [{"kind": "issue", **asdict(issue)} for issue in report.issues]
    for one in report.accepted:
        why = {"reason": one.reason, "by": one.by, "until": one.until}
        lines.append({"kind": "accepted", **asdict(one.issue), **why})
    return "\n".join(json.dumps(line, ensure_ascii=False) for line in [*lines, last])
