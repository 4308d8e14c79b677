"""The models as pydantic sees them, and FastAPI with it: JSON of the wire's form.

`models` imports this when pydantic asks a model for its schema, and not before: nothing else here needs pydantic. What
reads and writes the JSON is the one converter, and which fields there are is what the models say.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from apify_tasks_async._convert import converter
from apify_tasks_async._fields import fields_of
from apify_tasks_async.models import Bookmark

__all__ = ["make_core_schema", "make_json_schema"]


def make_core_schema(model: type, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return how pydantic reads and writes a model; an instance it takes as it is."""
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    if model is Bookmark:
        read, write = Bookmark.from_json, Bookmark.to_json
        json_form: CoreSchema = core_schema.str_schema()
    else:
        read, write = partial(converter.structure, cl=model), converter.unstructure
        json_form = core_schema.typed_dict_schema(_properties(model, handler))

    def validate(value: Any) -> Any:
        return value if isinstance(value, model) else read(value)

    return core_schema.no_info_plain_validator_function(
        validate,
        # What the definition is called in a JSON schema comes from this.
        ref=f"{model.__module__}.{model.__qualname__}:{id(model)}",
        json_schema_input_schema=json_form,
        serialization=core_schema.plain_serializer_function_ser_schema(write),
    )


def _properties(model: type, handler: GetCoreSchemaHandler) -> dict[str, core_schema.TypedDictField]:
    hints = get_type_hints(model)
    return {
        field.wire: core_schema.typed_dict_field(
            handler.generate_schema(hints[field.attribute]), required=field.required
        )
        for field in fields_of(model)
    }


def make_json_schema(model: type, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the JSON schema of what a model is read from, or of what it is written to."""
    json_schema = handler(schema["json_schema_input_schema"])
    summary, _, _ = (model.__doc__ or "").partition("\n")
    json_schema |= {"title": model.__name__, "description": summary}
    if handler.mode == "serialization" and "properties" in json_schema:
        json_schema["required"] = list(json_schema["properties"])  # what is None is written as null
    return json_schema
