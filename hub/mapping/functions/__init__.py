"""The functions of the expression language, one small function each."""

from hub.mapping.functions import amounts, dates, lists, objects, references, taxes, texts
from hub.mapping.functions.registry import FUNCTIONS, Function

__all__ = ["FUNCTIONS", "Function", "functions_markdown"]

GROUPS = tuple(module.GROUP for module in (texts, amounts, taxes, lists, objects, dates, references))


def functions_markdown() -> str:
    """The reference of all functions, as `docs/mappings.md` holds it."""
    parts: list[str] = []
    for group in GROUPS:
        parts += [f"### {group}", "", "| function | purpose | example |", "| --- | --- | --- |"]
        for entry in FUNCTIONS.values():
            if entry.group == group:
                examples = "<br>".join(f"`{source}` is `{result}`" for source, result in entry.examples)
                parts.append(f"| `{entry.signature}` | {entry.doc} | {examples} |".replace("||", "\\|\\|"))
        parts.append("")
    return "\n".join(parts)
