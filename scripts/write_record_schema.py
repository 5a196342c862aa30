"""Write what is generated from the record's definition: python scripts/write_record_schema.py.

The JSON Schema in the package, and the page's types (frontend/src/record.ts).
"""

import json
from pathlib import Path

import tumorlens
from tumorlens.reporting.record_schema import record_schema, record_types

schema = Path(tumorlens.__file__).parent / "schemas" / "record.schema.json"
schema.write_text(json.dumps(record_schema(), indent=1) + "\n", encoding="utf-8")
types = Path(__file__).resolve().parent.parent / "frontend" / "src" / "record.ts"
types.write_text(record_types(), encoding="utf-8")
print(schema, types, sep="\n")
