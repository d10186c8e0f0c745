"""Where the logs go: to stderr, warnings or every step."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logging(*, verbose: bool) -> None:
    """Logs go to stderr: warnings, or with `verbose` every step."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Local variables, which other tracebacks show, may hold passwords.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
    )
