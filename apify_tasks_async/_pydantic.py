"""The models for pydantic and FastAPI, in the API's JSON form.

`models` imports this only when pydantic asks a model for its schema: nothing else here needs pydantic. The converter
reads and writes the JSON, and the models say which fields there are.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from apify_tasks_async._convert import converter
from apify_tasks_async._fields import fields_of
from apify_tasks_async.models import Bookmark


def make_core_schema(model: type, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema by which pydantic reads and writes a model. It accepts instances unchanged."""
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
        # The name of the definition in a JSON schema comes from this.
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
    """Return the JSON schema of a model, for reading or for writing."""
    json_schema = handler(schema["json_schema_input_schema"])
    summary, _, _ = (model.__doc__ or "").partition("\n")
    json_schema |= {"title": model.__name__, "description": summary}
    if handler.mode == "serialization" and "properties" in json_schema:
        json_schema["required"] = list(json_schema["properties"])  # None is written as null.
    return json_schema
