"""Write what is generated from the record's definition: python scripts/write_record_schema.py.

The JSON Schema in the package, and the page's types (frontend/src/record.ts). A test fails where
they differ. The server's OpenAPI document takes its components from ``record.schema_of`` itself.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import tumorlens
from tumorlens.inference.record import KINDS, schema_of

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_PREFIX: Final = "#/$defs/"
_PLAIN: Final = {"string": "string", "number": "number", "integer": "number",
                 "boolean": "boolean", "null": "null"}  # fmt: skip


def record_schema() -> dict[str, Any]:
    """Schema (draft 2020-12) of one line of ``tumorlens predict --format jsonl``."""
    schemas, parts = schema_of(KINDS, _PREFIX)
    return {
        "$schema": _DIALECT,
        "title": "Record of tumorlens predict",
        "anyOf": schemas,
        "$defs": parts,
    }


def record_types() -> str:
    """The same as TypeScript interfaces."""
    schemas, parts = schema_of(KINDS, _PREFIX)
    union = " | ".join(_type(schema) for schema in schemas)
    return "".join([
        "/** The record of an answer. Generated: python scripts/write_record_schema.py */\n",
        *(_interface(name, part) for name, part in parts.items()),
        f"\nexport type Result = {union};\n",
    ])  # fmt: skip


def _interface(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f"\n/** {schema['description']} */\nexport interface {name} {{\n"]
    for field, kind in schema["properties"].items():
        if "description" in kind:
            lines.append(f"  /** {kind['description']} */\n")
        lines.append(f"  {field}: {_type(kind)};\n")
    return "".join([*lines, "}\n"])


def _type(schema: Mapping[str, Any]) -> str:
    """TypeScript for the few kinds of schema that the record uses."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_PREFIX)
    if "anyOf" in schema:
        return " | ".join(_type(kind) for kind in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f'"{value}"' if isinstance(value, str) else "null"
                          for value in schema["enum"])  # fmt: skip
    if "prefixItems" in schema:
        return f"[{', '.join(_type(kind) for kind in schema['prefixItems'])}]"
    if schema["type"] == "array":
        return f"{_type(schema['items'])}[]"
    if schema["type"] == "object":
        return f"Record<string, {_type(schema['additionalProperties'])}>"
    return _PLAIN[schema["type"]]


def main() -> None:
    """Write both files."""
    schema = Path(tumorlens.__file__).parent / "schemas" / "record.schema.json"
    schema.write_text(json.dumps(record_schema(), indent=1) + "\n", encoding="utf-8")
    types = Path(__file__).resolve().parent.parent / "frontend" / "src" / "record.ts"
    types.write_text(record_types(), encoding="utf-8")
    print(schema, types, sep="\n")


if __name__ == "__main__":
    main()
