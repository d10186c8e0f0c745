"""Where the logs go: to stderr, warnings or every step, as text or as one JSON object a line."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

from harvester.errors import LumbungError

LogFormat = Literal["text", "json"]


def set_up_logging(*, verbose: bool, log_format: LogFormat = "text") -> None:
    """Logs go to stderr: warnings, or with `verbose` every step. Those of libraries are among them, warnings only."""
    # Local variables, which other tracebacks show, may hold passwords.
    ends: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if verbose else logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *ends,
        ],
    )
    if not any(isinstance(handler, ForwardingHandler) for handler in logging.root.handlers):
        logging.root.addHandler(ForwardingHandler(logging.WARNING))


def told(error: BaseException) -> dict[str, Any]:
    """What a log line says of an error: an error of ours in its own words, any other with its traceback."""
    return {"error": str(error)} if isinstance(error, LumbungError) else {"exc_info": error}


class ForwardingHandler(logging.Handler):
    """What Flask and libraries log is written as our own logs are."""

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        log = structlog.get_logger().bind(logger=record.name)
        log.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)
