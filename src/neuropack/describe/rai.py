"""Responsible AI: what Croissant's vocabulary asks of a dataset, http://mlcommons.org/croissant/RAI/1.0.

Only what the metadata state is said. What they do not state is absent: a property that is there was answered.
"""

from __future__ import annotations

from neuropack.describe.described import Described, Record

CONFORMS_TO = "http://mlcommons.org/croissant/RAI/1.0"

# Properties, and the fields of the datasheet that answer them.
_STATED = {
    "rai:dataCollection": "collection",
    "rai:dataCollectionType": "collection_types",
    "rai:dataCollectionMissingData": "missing_data",
    "rai:annotatorDemographics": "annotators",
    "rai:dataUseCases": "intended_uses",
    "rai:dataLimitations": "limitations",
    "rai:dataBiases": "biases",
    "rai:dataSocialImpact": "social_impact",
    "rai:personalSensitiveInformation": "personal_information",
    "rai:dataReleaseMaintenancePlan": "maintenance",
}


def rai(release: Described) -> Record:
    """The properties that the metadata answer."""
    sheet = release.sheet
    found: Record = {name: sheet[slot] for name, slot in _STATED.items() if slot in sheet}
    if release.recorded is not None:
        found["rai:dataCollectionTimeFrame"] = list(dict.fromkeys(release.recorded))
    steps = [sheet["preprocessing"]] if "preprocessing" in sheet else []
    found["rai:dataPreprocessingProtocol"] = steps + release.steps
    found["rai:dataAnnotationProtocol"] = _protocol(release)
    found["rai:dataAnnotationAnalysis"] = [
        f"{measure}: median {median:.3f}, least {least:.3f}, of {count} file(s)"
        for measure, count, median, least in release.agreements
    ]
    found["rai:machineAnnotationTools"] = sorted(
        {a["annotator"] for a in release.records("annotations") if a.get("provenance") in ("model", "corrected")}
    )
    return {name: value for name, value in found.items() if value}


def _protocol(release: Described) -> list[str]:
    """The protocol as a person states it, then what the records of the annotations say."""
    told = [release.sheet["annotation_protocol"]] if "annotation_protocol" in release.sheet else []
    kinds: dict[tuple[str, str, str], int] = {}
    for record in release.records("annotations"):
        guideline = f", guideline {record['guideline_version']}" if "guideline_version" in record else ""
        key = record["kind"], record.get("provenance", "not stated"), guideline
        kinds[key] = kinds.get(key, 0) + 1
    return told + [f"{kind}: {how}{guideline} ({n} file(s))" for (kind, how, guideline), n in kinds.items()]
