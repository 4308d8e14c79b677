"""The endpoint as an OpenAPI document, for tools in any language.

It follows https://docs.apify.com/api/v2/actor-tasks-get. The descriptions name what only `FakeApify` does.
"""

from __future__ import annotations

from typing import Any

from apify_tasks_async._version import __version__
from apify_tasks_async.testing._protocol import DEFAULT_LIMIT, PATH
from apify_tasks_async.testing._schema import ERROR_SCHEMA, PAGE_SCHEMA

__all__ = ["OPENAPI"]

_RATE_LIMIT = {
    "description": "The allowed requests per second. `FakeApify` sends it if it has a rate limit.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}

_RETRY_AFTER = {
    "description": "Seconds to wait, or an HTTP date. Undocumented; sent with `Status(retry_after=...)`.",
    "schema": {"type": "string"},
}


def _json(description: str, schema: str, **headers: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "headers": {"X-RateLimit-Limit": {"$ref": "#/components/headers/X-RateLimit-Limit"}, **headers},
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


_LIST_TASKS = {
    "operationId": "listTasks",
    "summary": "Get list of tasks",
    "description": "The tasks that a user has created or used, sorted by `createdAt`, at most 1000 in one answer.",
    "externalDocs": {"url": "https://docs.apify.com/api/v2/actor-tasks-get"},
    "parameters": [
        {
            "name": "offset",
            "in": "query",
            "description": "How many tasks to skip at the start.",
            "schema": {"type": "number", "minimum": 0, "default": 0},
            "example": 10,
        },
        {
            "name": "limit",
            "in": "query",
            "description": "The most tasks to return, 1000 at most: more counts as that, and 0 as the default. The "
            "documentation states neither.",
            "schema": {"type": "number", "minimum": 0, "default": DEFAULT_LIMIT},
            "example": 99,
        },
        {
            "name": "desc",
            "in": "query",
            "description": "`true` or `1`: the newest first.",
            "schema": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}], "default": False},
            "example": True,
        },
    ],
    "responses": {
        "200": _json("A page of tasks.", "TaskPage"),
        "400": _json("A parameter is invalid.", "Error"),
        "401": _json("The token is wrong or missing.", "Error"),
        "403": _json("The token does not have the permission to list tasks.", "Error"),
        "405": _json(
            "Another method than GET.",
            "Error",
            Allow={"description": "The methods that there are.", "schema": {"type": "string"}},
        ),
        "429": _json("Too many requests.", "Error", **{"Retry-After": {"$ref": "#/components/headers/Retry-After"}}),
        "5XX": _json("The server failed.", "Error", **{"Retry-After": {"$ref": "#/components/headers/Retry-After"}}),
    },
}

OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {
        "title": "GET /v2/actor-tasks of the Apify API",
        "version": __version__,
        "description": "One endpoint, as apify_tasks_async and its `FakeApify` understand it. It is not Apify's own.",
        "license": {"name": "MIT", "identifier": "MIT"},
    },
    "externalDocs": {"url": "https://docs.apify.com/api/v2"},
    "servers": [{"url": "https://api.apify.com"}],
    "security": [{"bearerToken": []}, {"queryToken": []}],
    "paths": {PATH: {"get": _LIST_TASKS}},
    "components": {
        "schemas": {"TaskPage": PAGE_SCHEMA, "Error": ERROR_SCHEMA},
        "headers": {"X-RateLimit-Limit": _RATE_LIMIT, "Retry-After": _RETRY_AFTER},
        "securitySchemes": {
            "bearerToken": {"type": "http", "scheme": "bearer"},
            "queryToken": {
                "type": "apiKey",
                "in": "query",
                "name": "token",
                "description": "Taken by the API, but servers log it: prefer the header.",
            },
        },
    },
}
"""The OpenAPI 3.1 document of `GET /v2/actor-tasks`: its parameters, answers and errors."""
