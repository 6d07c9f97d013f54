"""The one door of the program: runs a command, and turns what it raises into a sentence and an exit code."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line and exits."""
    from tenantctl.entrypoints.cli.main import run  # noqa: PLC0415 - what a command needs is imported by the command

    try:
        code = run()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough: tenantctl tenant list | head -1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


if __name__ == "__main__":
    main()
