"""Addresses: which ones a page may link to, and how our own are written out in full."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

from harvester.visit import is_web_address
from web.tiers import get_tiers


def safe_url(url: str | None) -> str | None:
    """The address if it leads to a web page, else None: a record's link is a stranger's."""
    return url if url and is_web_address(url) else None


def full_url(path: str) -> str:
    """The path with scheme and host: the public ones, or those by which this reader reached us."""
    base = get_tiers().settings.base_url
    return (base if urlsplit(base).netloc == request.host else request.host_url.rstrip("/")) + path
