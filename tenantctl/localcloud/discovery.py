"""Reads Google's own description of the Cloud SQL Admin API: its routes, and what its requests and answers look like.

The discovery documents ship with google-api-python-client. Routing by them means that a path which the real service
does not have is not found here either; checking by them means that a request with an unknown or wrongly typed field is
refused as the real service refuses it, and that an answer of ours which no real client expects is a loud bug.
"""

import functools
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import jsonschema
from jsonschema.protocols import Validator

_VERSIONS: Final = ("v1", "v1beta4")  # the Admin client speaks the first, the connector and gcloud the second
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class Mismatch(ValueError):
    """A document is not what the API describes; the message names the place and what is wrong there."""


@dataclass(frozen=True)
class Method:
    """One method of the API, as one version describes it.

    Attributes:
        name: Its id without the API's name, such as `instances.get`.
        verb: The HTTP method.
        path: Matches a whole undecoded path, with one group for each parameter.
        request: The schema of its body, or None.
        response: The schema of its answer, or None.
    """

    name: str
    verb: str
    path: re.Pattern[str]
    request: str | None
    response: str | None


class Discovery:
    """The routes and schemas of the Admin API, in all versions served."""

    def __init__(self) -> None:
        self._methods: list[Method] = []
        schemas: dict[str, Any] = {}
        for version in _VERSIONS:
            document = _read(version)
            self._methods += _methods(document["resources"])
            schemas = {**document["schemas"], **schemas}
        # The most literal path first: `instances/{instance}/restart` before anything that could swallow it.
        self._methods.sort(key=lambda method: method.path.pattern.count("(?P<"))
        self._definitions = {name: _json_schema(schema) for name, schema in schemas.items()}

    def route(self, verb: str, raw_path: str) -> tuple[Method, dict[str, str]] | None:
        """Find the method that a request means, with its path parameters decoded."""
        for method in self._methods:
            if method.verb == verb and (found := method.path.fullmatch(raw_path)):
                return method, {name: unquote(value) for name, value in found.groupdict().items()}
        return None

    def check(self, schema: str, document: Any) -> None:
        """Hold a document against a schema.

        Raises:
            Mismatch: It has an unknown field, or one of the wrong type or value.
        """
        worst = next(iter(self._validator(schema).iter_errors(document)), None)
        if worst is not None:
            place = ".".join(str(part) for part in worst.absolute_path) or schema
            raise Mismatch(f"Invalid value at '{place}': {worst.message[:300]}")

    @functools.cached_property
    def _validators(self) -> dict[str, Validator]:
        return {}

    def _validator(self, schema: str) -> Validator:
        if schema not in self._validators:
            whole = {"$ref": f"#/$defs/{schema}", "$defs": self._definitions}
            self._validators[schema] = jsonschema.Draft202012Validator(whole)
        return self._validators[schema]


def _read(version: str) -> dict[str, Any]:
    found = importlib.util.find_spec("googleapiclient")  # found, not imported: the client itself is slow to load
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("google-api-python-client, which carries the description of the Admin API, is missing.")
    folder = Path(found.submodule_search_locations[0])
    path = folder / "discovery_cache" / "documents" / f"sqladmin.{version}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _methods(resources: Mapping[str, Any]) -> Iterator[Method]:
    for resource in resources.values():
        for method in resource.get("methods", {}).values():
            yield Method(
                name=method["id"].split(".", 1)[1],
                verb=method["httpMethod"],
                path=_pattern(method.get("flatPath", method["path"])),
                request=method.get("request", {}).get("$ref"),
                response=method.get("response", {}).get("$ref"),
            )
        yield from _methods(resource.get("resources", {}))


def _pattern(flat_path: str) -> re.Pattern[str]:
    pieces = _PLACEHOLDER.split(flat_path)
    text = "/"
    for position, piece in enumerate(pieces):
        if position % 2 == 0:
            text += re.escape(piece)
            continue
        # An instance or operation has no colon in its name: there, a colon begins a custom verb.
        text += f"(?P<{piece}>{'[^/]+' if piece in ('project', 'database', 'name') else '[^/:]+'})"
    return re.compile(text)


def _json_schema(described: Any) -> dict[str, Any]:
    """Translate one schema of a discovery document to JSON Schema."""
    if "$ref" in described:
        return {"$ref": f"#/$defs/{described['$ref']}"}
    kind = described.get("type", "any")
    schema: dict[str, Any] = {} if kind == "any" else {"type": [kind, "null"]}  # in a patch, null takes away
    if described.get("format") in ("int64", "uint64"):
        schema = {
            "type": ["string", "integer", "null"],
            "pattern": r"^-?\d+$",
        }  # read in both forms, as the service does
    if "enum" in described:
        schema["enum"] = [*described["enum"], None]
    if "items" in described:
        schema["items"] = _json_schema(described["items"])
    if "properties" in described:
        schema["properties"] = {name: _json_schema(part) for name, part in described["properties"].items()}
        schema["additionalProperties"] = False
    if "additionalProperties" in described:
        schema["additionalProperties"] = _json_schema(described["additionalProperties"])
    return schema
