"""The documents of GET /v2/actor-tasks as JSON Schema.

They follow https://docs.apify.com/api/v2/actor-tasks-get. Other fields are allowed, since the live API sends some.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ERROR_SCHEMA", "PAGE_SCHEMA"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": "string"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_COUNT = {"type": "integer", "minimum": 0}

_STATS = {"type": "object", "properties": {"totalRuns": {"type": "integer"}}}

_TASK = {
    "type": "object",
    "required": ["id", "userId", "actId", "name", "createdAt", "modifiedAt"],
    "properties": {
        "id": _TEXT,
        "userId": _TEXT,
        "actId": _TEXT,
        "actName": _NULLABLE_TEXT,
        "name": _TEXT,
        "username": _NULLABLE_TEXT,
        "actUsername": _NULLABLE_TEXT,
        "createdAt": _TIME,
        "modifiedAt": _TIME,
        "stats": {"anyOf": [_STATS, {"type": "null"}]},
    },
}

_PAGE = {
    "type": "object",
    "required": ["total", "offset", "limit", "desc", "count", "items"],
    "properties": {
        "total": _COUNT,
        "offset": _COUNT,
        "limit": {"type": "integer", "minimum": 1},
        "desc": {"type": "boolean"},
        "count": _COUNT,
        "items": {"type": "array", "items": _TASK},
    },
}

PAGE_SCHEMA: dict[str, Any] = {
    "$schema": _DIALECT,
    "type": "object",
    "required": ["data"],
    "properties": {"data": _PAGE},
}
"""The body of a 200 response."""

ERROR_SCHEMA: dict[str, Any] = {
    "$schema": _DIALECT,
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": _TEXT, "message": _TEXT},
        }
    },
}
"""The body of every other response."""
