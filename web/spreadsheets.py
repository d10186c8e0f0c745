"""Tables for spreadsheets, of what strangers say."""

from __future__ import annotations

import csv
import io


def harmless(text: str) -> str:
    """The text as no spreadsheet takes it for a formula."""
    return "'" + text if text.lstrip().startswith(("=", "+", "-", "@")) or text[:1] in {"\t", "\r", "\n"} else text


def to_csv(rows: list[tuple[str, ...]]) -> str:
    """The rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()
