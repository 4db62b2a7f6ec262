"""The expression language and mappings: parse, compile, apply. See `docs/mappings.md`."""

from hub.mapping.document import Document, load_document
from hub.mapping.expression import EvaluationError, Expression, compile_expression
from hub.mapping.functions import FUNCTIONS, Function, functions_markdown
from hub.mapping.mapping import Mapping, MappingErrors, load_mapping
from hub.mapping.source import Position, Problem, SourceError

__all__ = [
    "FUNCTIONS",
    "Document",
    "EvaluationError",
    "Expression",
    "Function",
    "Mapping",
    "MappingErrors",
    "Position",
    "Problem",
    "SourceError",
    "compile_expression",
    "functions_markdown",
    "load_document",
    "load_mapping",
]
