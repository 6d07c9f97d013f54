"""Lines that Cloud Logging understands, and that cannot carry what a customer wrote.

Promises: one JSON object a line, with `severity`, `message` and `time`; `logging.googleapis.com/trace` where a trace is
known. Beside them stand only the fields listed here, and only numbers, codes and identifiers in them: a text with a
space in it, whoever logs it, is withheld. Messages are written in the program; what is to be filled into them is not,
and of an exception its type and where it was raised are told, not its words, which may be a customer's data.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from types import TracebackType
from typing import Any, Final, TextIO

LABELS: Final = ("tenant", "plan", "step", "duty")
"""What lines are looked up by: they also stand among the entry's labels."""

FIELDS: Final = (
    *LABELS,
    *("alarm", "alarm_cleared", "anchor", "at", "blockers", "callers", "code", "count", "due_at", "error", "events"),
    *("fault", "logger", "method", "outcome", "purpose", "reason", "seconds", "steps", "subject", "url"),
)
WITHHELD: Final = "withheld"
_CODE: Final = re.compile(r"[A-Za-z0-9_.:/+@-]{1,200}")
_SEVERITY: Final = {logging.CRITICAL: "CRITICAL", logging.ERROR: "ERROR", logging.WARNING: "WARNING"}
_OURS: Final = "tenantctl"


@dataclass(frozen=True)
class Trace:
    """What a line belongs to: ids of the trace and of the span, in hexadecimal digits."""

    trace_id: str
    span_id: str = ""


TRACE: Final[ContextVar[Trace | None]] = ContextVar("trace", default=None)
"""The trace that is under way in this thread or task."""


class CloudFormatter(logging.Formatter):
    """One line of JSON for each record.

    Args:
        project: the project that traces belong to; None leaves them out.
    """

    def __init__(self, project: str | None) -> None:
        super().__init__()
        self._project = project

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without its line break."""
        ours = record.name.partition(".")[0] == _OURS
        fields: dict[str, Any] = {"logger": record.name, "at": f"{record.module}:{record.lineno}"}
        if ours:
            fields = dict(getattr(record, "fields", {}))
        if record.exc_info is not None and record.exc_info[0] is not None:
            fields |= failure(record.exc_info[0], record.exc_info[2])
        said = {
            "severity": _SEVERITY.get(record.levelno, "INFO"),
            "message": str(record.msg) if ours else "a library has something to say",
            "time": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
            **{name: _safe(fields[name]) for name in FIELDS if fields.get(name) is not None},
        }
        labels = {name: str(said[name]) for name in LABELS if name in said}
        if labels:
            said["logging.googleapis.com/labels"] = labels
        trace = TRACE.get()
        if trace is not None and self._project is not None:
            said["logging.googleapis.com/trace"] = f"projects/{self._project}/traces/{trace.trace_id}"
            if trace.span_id:
                said["logging.googleapis.com/spanId"] = trace.span_id
        return json.dumps(said, ensure_ascii=True)


def say(logger: logging.Logger, level: int, message: str, **fields: Any) -> None:
    """Logs a sentence of the program with the fields that are told beside it.

    Raises:
        ValueError: a field is not on the list: it would not be told.
    """
    unknown = set(fields) - set(FIELDS)
    if unknown:
        raise ValueError(f"fields that no line has: {', '.join(sorted(unknown))}")
    logger.log(level, message, extra={"fields": fields})


def log_for_cloud(project: str | None, *, stream: TextIO | None = None) -> None:
    """Has every record of this process, and what breaks it, told as such lines on standard error."""
    to = logging.StreamHandler(stream or sys.stderr)
    to.setFormatter(CloudFormatter(project))
    root = logging.getLogger()
    root.handlers[:] = [to]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OURS).setLevel(logging.INFO)
    sys.excepthook = _told


def failure(kind: type[BaseException], trace: TracebackType | None) -> Mapping[str, str]:
    """What is told of an exception: its type, and the innermost place in the program that it came through."""
    frames = traceback.extract_tb(trace)
    ours = [frame for frame in frames if f"/{_OURS}/" in frame.filename] or frames
    if not ours:
        return {"error": kind.__name__}
    last = ours[-1]
    file = "/".join(PurePath(last.filename).parts[-3:]).lstrip("/")
    return {"error": kind.__name__, "at": f"{file}:{last.lineno}"}


def trace_of(headers: Mapping[str, str]) -> Trace | None:
    """The trace that a request belongs to, by the header `traceparent`; None where none is named rightly."""
    said = re.fullmatch(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}", headers.get("traceparent", ""))
    return Trace(said[1], said[2]) if said and set(said[1]) != {"0"} else None


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    fields = failure(kind, trace)
    say(logging.getLogger(_OURS), logging.CRITICAL, "the program broke: please report it", **fields)


def _safe(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_safe(one) for one in value]
    if isinstance(value, dict):
        return {str(_safe(key)): _safe(one) for key, one in value.items()}
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    return text if _CODE.fullmatch(text) else WITHHELD
