"""What the routes share."""

import dataclasses
from typing import Any

from tumorlens.labels import RESEARCH_NOTICE
from tumorlens.server.admission import AdmissionControl
from tumorlens.server.metrics import Metrics
from tumorlens.server.predictor import Predictor
from tumorlens.server.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """One server's parts."""

    settings: Settings
    metrics: Metrics
    admission: AdmissionControl
    predictor: Predictor

    def models(self) -> dict[str, Any]:
        """``schemas.Models``."""
        bundle = self.predictor.bundle
        info = bundle.info
        model = {
            "name": info.name,
            "version": info.version,
            "sha256": bundle.sha256,
            "classes": list(info.classes.names),
            "parameters": info.network.parameters,
            "macs": info.network.macs,
            "image_size": info.preprocess.image_size,
            "temperature": info.temperature,
            "metrics": info.metrics,
            "intended_use": info.intended_use,
            "licence": info.licence,
        }
        features = {"studies": True}
        return {"models": [model], "features": features, "notice": RESEARCH_NOTICE}
