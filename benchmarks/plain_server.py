"""The usual server, to compare with: one request, one forward pass.

    uvicorn benchmarks.plain_server:app

The same network, the same reading and preprocessing, on the same framework, without batching,
limits or anything else: what a tutorial shows. The framework runs such handlers in its threads.
"""

import os
from typing import Annotated, Any

from fastapi import FastAPI, File, UploadFile

import tumorlens
from tumorlens.imaging import reader
from tumorlens.inference import records

app = FastAPI()
_classifier = tumorlens.load(os.environ.get("BUNDLE", "default"), threads=1)


@app.post("/v1/predictions")
def predict(files: Annotated[list[UploadFile], File()]) -> dict[str, Any]:
    """Read, preprocess, run, answer: each file by itself."""
    made = []
    for file in files:
        image = reader.read_bytes(file.file.read(), file.filename or "")
        made.append(records.record(_classifier.predict(image)))
    return {"predictions": made}
