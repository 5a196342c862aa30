"""Write the JSON Schema of the records into the package: python scripts/write_record_schema.py."""

import json
from pathlib import Path

import tumorlens
from tumorlens.inference.record_schema import record_schema

path = Path(tumorlens.__file__).parent / "schemas" / "record.schema.json"
path.write_text(json.dumps(record_schema(), indent=1) + "\n", encoding="utf-8")
print(path)
