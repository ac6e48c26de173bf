"""Derive the schema of the JSON lines from the types that are printed; run as a script it writes the file."""

from __future__ import annotations

import json
import sys
import types
import typing
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import shipit.display
from shipit import events, models
from shipit.display.jsonl import _COMPUTED, SCHEMA, event_name

FILE = Path(shipit.display.__file__).parent / "events.schema.json"
_PLAIN = {str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"}}
_OWN: dict[str, tuple[str, dict[str, Any]]] = {
    "plan": ("Show what a rollout would do.", {"plan": {"$ref": "#/$defs/RolloutPlan"}}),
    "text": ("Show a line for people.", {"text": {"type": "string"}}),
    "value": ("Answer a command.", {"kind": {"type": "string"}, "fields": {"type": "object"}}),
    "error": (
        "End a command that failed: the class of the error and the exit code.",
        {
            "error": {"type": "string"},
            "message": {"type": "string"},
            "hint": {"type": "string"},
            "exit_code": {"type": "integer"},
        },
    ),
}


def schema() -> dict[str, Any]:
    """Return the schema: one definition for each event, and one for each type that events hold."""
    definitions: dict[str, Any] = {}
    names = []
    for kind in typing.get_args(events.Event):
        body = _object(kind, definitions)
        names.append(event_name(kind))
        definitions[names[-1]] = _event(names[-1], body["description"], body["properties"])
    for name, (says, properties) in _OWN.items():
        names.append(name)
        definitions[name] = _event(name, says, properties)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of shipit --json",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in names],
        "$defs": dict(sorted(definitions.items())),
    }


def _event(name: str, says: str, properties: dict[str, Any]) -> dict[str, Any]:
    envelope = {
        "schema": {"const": SCHEMA},
        "event": {"const": name},
        "at": {"type": "string", "format": "date-time"},
    }
    return _closed(says, {**envelope, **properties})


def _closed(says: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": says,
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, vars(events) | vars(models))
    properties = {f.name: _type(hints[f.name], definitions) for f in fields(kind)}
    for name in _COMPUTED.get(kind, ()):
        properties[name] = _type(typing.get_type_hints(getattr(kind, name).fget)["return"], definitions)
    return _closed((kind.__doc__ or "").split("\n")[0], properties)


def _type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _PLAIN:
        return dict(_PLAIN[hint])
    if hint is datetime:
        return {"type": "string", "format": "date-time"}
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [{"type": "null"} if i is type(None) else _type(i, definitions) for i in inner]}
    if origin is tuple:
        return {"type": "array", "items": _type(inner[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1], definitions)}
    if hint.__name__ not in definitions:
        definitions[hint.__name__] = {}
        definitions[hint.__name__] = (
            _object(hint, definitions)
            if is_dataclass(hint)
            else {
                "description": hint.__doc__.split("\n")[0],
                "enum": [e.value for e in typing.cast(type[Enum], hint)],
            }
        )
    return {"$ref": f"#/$defs/{hint.__name__}"}


def text() -> str:
    """Return the schema as the file holds it."""
    return json.dumps(schema(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    sys.exit(0)
