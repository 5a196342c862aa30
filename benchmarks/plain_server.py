"""A plain server for comparison: one forward pass for each request.

    uvicorn benchmarks.plain_server:app

It has the same network, reading and preprocessing, on the same framework, without batching or
limits. The framework runs its handlers in threads.
"""

import os
from typing import Annotated, Any

from fastapi import FastAPI, File, UploadFile

from tumorlens.imaging import reader
from tumorlens.inference.classifier import Classifier
from tumorlens.reporting import records

app = FastAPI()
_classifier = Classifier.load(os.environ.get("BUNDLE", "default"), threads=1)


@app.post("/v1/predictions")
def predict(files: Annotated[list[UploadFile], File()]) -> dict[str, Any]:
    """Read, preprocess, run, answer: each file by itself."""
    answers = []
    for file in files:
        image = reader.read_bytes(file.file.read(), file.filename or "")
        answers.append(records.record(_classifier.predict(image)))
    return {"predictions": answers}
