"""`--watch`: a list that is read again and again; drawn anew on a terminal, elsewhere only what has changed."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import click

from tenantctl.entrypoints.cli.output import json_line
from tenantctl.ports.work import WorkItem

_DRAW_ANEW: Final = "\033[H\033[2J"  # to the upper left, and nothing is left of what stood there


def watched(
    read: Callable[[], Sequence[WorkItem]],
    table: Callable[[Sequence[WorkItem]], str],
    plain: Callable[[WorkItem], dict[str, Any]],
    *,
    as_json: bool,
    pause_seconds: float,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Shows a list until Ctrl-C, which is how it is meant to end.

    Args:
        read: the list as it is now.
        table: it, as people read it.
        plain: one of it, as programs read it.
        as_json: lines of JSON, and no table.
        pause_seconds: between two looks.
        pause: takes seconds.
    """
    known: dict[str, WorkItem] = {}
    try:
        while True:
            items = read()
            if sys.stdout.isatty() and not as_json:
                click.echo(f"{_DRAW_ANEW}{table(items) if items else 'There is nothing.'}")
            else:
                now_are = {item.tenant_uid: item for item in items}
                gone = [replace(item, states=()) for uid, item in known.items() if uid not in now_are]
                changed = [item for uid, item in now_are.items() if known.get(uid) != item]
                for item in (*changed, *gone) if as_json else ():
                    click.echo(json_line(plain(item)))
                if not as_json and (changed or gone):
                    click.echo(table([*changed, *gone]))
                known = now_are
            pause(pause_seconds)
    except KeyboardInterrupt:
        return
