"""How often the APIs gave no good answer since the process began, by code: counted where answers are understood."""

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

NO_ANSWER: Final = "none"  # a connection that broke, or an answer that none of Google's APIs gives

_lock = threading.Lock()
_counted: Counter[str] = Counter()


def count_api_error(code: int | str) -> None:
    """Counts one; `code` is an HTTP status, or `NO_ANSWER`."""
    with _lock:
        _counted[str(code)] += 1


def api_errors() -> Mapping[str, int]:
    """Code → how many."""
    with _lock:
        return dict(_counted)
