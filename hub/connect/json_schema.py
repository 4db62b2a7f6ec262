"""JSON Schema of pydantic models, in the words of their source: docstrings, and the `#:` comments of fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


class Documented(GenerateJsonSchema):
    """Pydantic's schema without its made-up titles, and with a description for each field that the source explains."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> Schema:
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        made.pop("title", None)
        if "description" in made:
            made["description"] = " ".join(made["description"].split())
        fields = {field.alias or name: name for name, field in model.model_fields.items()}
        for shown, described in made.get("properties", {}).items():
            if text := field_doc(model, fields[shown], shown):
                described.setdefault("description", text)
        return made


def field_doc(model: type[BaseModel], name: str, shown: str) -> str:
    """What the source says of a field: the `#:` lines above it, else the sentence of the docstring that names it."""
    commented = _comments(model)
    if name in commented:
        return commented[name]
    sentences = re.split(r"(?<=\.)\s+", " ".join(inspect.cleandoc(model.__doc__ or "").split()))
    return next((each for each in sentences if f"`{shown}`" in each), "")


@cache
def _comments(model: type[BaseModel]) -> Mapping[str, str]:
    try:
        lines = inspect.getsource(model).splitlines()
    except (OSError, TypeError):
        return {}  # a model that was made by a program
    found: dict[str, str] = {}
    above: list[str] = []
    for line in lines:
        if comment := re.match(r"\s+#: ?(.*)", line):
            above.append(comment[1].strip())
        else:
            if above and (field := re.match(r"\s+(\w+):", line)):
                found[field[1]] = " ".join(above)
            above = []
    return found
