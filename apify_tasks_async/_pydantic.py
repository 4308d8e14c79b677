"""The models for pydantic and FastAPI, in the API's JSON form.

Other modules import this only when pydantic asks a model for its schema: nothing else here needs pydantic. The
converter reads, pydantic-core writes, and the models say which fields there are.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from apify_tasks_async._convert import converter
from apify_tasks_async._fields import Field, fields_of
from apify_tasks_async._plain_time import is_time
from apify_tasks_async.errors import ApifyTasksError
from apify_tasks_async.models import Bookmark


def make_core_schema(model: type, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema by which pydantic reads and writes a model. It accepts instances unchanged."""
    read: Callable[[Any], Any] = partial(converter.structure, cl=model)
    if model is Bookmark:
        json_form: CoreSchema = core_schema.str_schema()
        written = core_schema.plain_serializer_function_ser_schema(Bookmark.to_json, return_schema=json_form)
        return _plain_schema(model, read, json_form, written)
    json_form = core_schema.typed_dict_schema(_properties(model, handler), extra_behavior="allow")
    write = core_schema.wrap_serializer_function_ser_schema(partial(_write, fields_of(model)), schema=json_form)
    return _plain_schema(model, read, json_form, write)


def make_json_schema(model: type, schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the JSON schema of a model, for reading or for writing."""
    json_schema = handler(schema["json_schema_input_schema"])
    summary, _, _ = (model.__doc__ or "").partition("\n")
    json_schema |= {"title": model.__name__, "description": summary}
    if "properties" in json_schema:
        del json_schema["additionalProperties"]  # unknown fields are allowed, which is the default
        descriptions = _descriptions(model)
        for field in fields_of(model):
            json_schema["properties"][field.wire]["description"] = descriptions.get(field.attribute, "")
        if handler.mode == "serialization":
            json_schema["required"] = list(json_schema["properties"])  # None is written as null.
    return json_schema


@cache
def make_serializer(model: type) -> Any:
    """Return the serializer by which `pydantic_core.to_json` writes a model that no type announces."""
    return TypeAdapter(model).serializer


def _plain_schema(model: type, read: Callable[[Any], Any], json_form: CoreSchema, written: Any) -> CoreSchema:
    def validate(value: Any) -> Any:
        return value if isinstance(value, model) else read(value)

    return core_schema.no_info_plain_validator_function(
        validate,
        # The name of the definition in a JSON schema comes from this.
        ref=f"{model.__module__}.{model.__qualname__}:{id(model)}",
        json_schema_input_schema=json_form,
        serialization=written,
    )


def _write(fields: tuple[Field, ...], instance: Any, handler: Callable[[Any], Any]) -> Any:
    """Pass one level to pydantic-core, which writes the fields, and knows of include and exclude."""
    document = {field.wire: _as_json_type(getattr(instance, field.attribute)) for field in fields}
    return handler({**document, **getattr(instance, "extra", {}), **document})


def _as_json_type(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _properties(model: type, handler: GetCoreSchemaHandler) -> dict[str, core_schema.TypedDictField]:
    hints = get_type_hints(model)
    return {
        field.wire: core_schema.typed_dict_field(
            _field_schema(hints[field.attribute], field, handler), required=field.required
        )
        for field in fields_of(model)
    }


def _field_schema(hint: Any, field: Field, handler: GetCoreSchemaHandler) -> CoreSchema:
    if get_origin(hint) is tuple:
        return handler.generate_schema(list.__class_getitem__(get_args(hint)[0]))
    if not is_time(field.kind) and field.kind is not ApifyTasksError:
        return handler.generate_schema(hint)
    text = core_schema.plain_serializer_function_ser_schema(converter.unstructure)
    make = core_schema.datetime_schema if is_time(field.kind) else core_schema.str_schema
    schema: CoreSchema = make(serialization=text)
    return core_schema.nullable_schema(schema) if field.nullable else schema


@cache
def _descriptions(model: type) -> dict[str, str]:
    """Return the docstring of each field; nothing where the source is missing."""
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    except (OSError, TypeError):
        return {}
    found = ((field, text) for field, text in pairwise(getattr(tree, "body", ())) if isinstance(field, ast.AnnAssign))
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in found
        if isinstance(text, ast.Expr)
    }
