"""The repository as its own tests read it: which files it has, and what the Python ones say."""

import ast
import fnmatch
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tenantctl"
NOT_OURS = {".git"}


def files(below: Path = ROOT) -> Iterator[Path]:
    """Every file that is tracked or would be: all but what .gitignore names. Asks no git, so an export will do."""
    ignored = [line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()]
    for path in sorted(below.iterdir()):
        if path.name in NOT_OURS or any(fnmatch.fnmatch(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def texts() -> Iterator[tuple[str, str]]:
    """(path from the root, content) of every text file."""
    for path in files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield str(path.relative_to(ROOT)), content.decode()


def python_files(below: Path = ROOT) -> list[Path]:
    """Every Python file."""
    return [path for path in files(below) if path.suffix == ".py"]


@functools.cache
def tree(path: Path) -> ast.Module:
    """What a Python file says."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def definitions(path: Path) -> dict[str, ast.AST]:
    """Each function and class of a file by its dotted name inside it: `Worker.turns`."""
    found: dict[str, ast.AST] = {}

    def walk(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[f"{prefix}{child.name}"] = child
                walk(child, f"{prefix}{child.name}.")
            else:
                walk(child, prefix)

    walk(tree(path), "")
    return found
