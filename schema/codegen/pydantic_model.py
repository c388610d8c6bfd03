"""The Pydantic model, made by LinkML's generator through our own templates.

The plain generator puts the limits of a list's values on the list, ties the text to the versions of the machine and
does not know types with patterns, nor rules. Here every LinkML type is an Annotated type of its own, every enum a
Literal, and rules of the one form that the schema uses are checked by the base class.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from linkml.generators.pydanticgen import PydanticGenerator
from linkml.generators.pydanticgen.build import ClassResult, SlotResult
from linkml.generators.pydanticgen.template import PydanticBaseModel, PydanticModule
from linkml_runtime.linkml_model.meta import ClassDefinition, SlotDefinition

TEMPLATES = Path(__file__).resolve().parent / "templates"
BASES = {"string": "str", "float": "Number", "integer": "Integer"}
CALENDAR = ("CalendarDate", "ZonedDateTime")


def generate(root: Path, catalogue: dict[str, Any]) -> str:
    """The text of model.py."""
    generator = _Generator(
        str(root),
        metadata_mode=None,
        template_dir=str(TEMPLATES),
        empty_list_for_multivalued_slots=True,
        extra_fields="forbid",
    )
    generator.catalogue = catalogue
    text = "\n".join(line.rstrip() for line in generator.serialize().strip().splitlines())
    return re.sub(r"\n+class ", "\n\n\nclass ", text) + "\n"


class _Generator(PydanticGenerator):  # type: ignore[misc]
    catalogue: dict[str, Any]

    def render(self) -> PydanticModule:
        module = super().render()
        module.enums = {}
        module.injected_classes = [
            *map(self._type, self.catalogue["types"]),
            *map(self._enum, self.catalogue["enums"]),
        ]
        # Every class carries its inherited fields, so the abstract ones are not needed.
        module.classes = {name: module.classes[name] for name in self.catalogue["classes"]}
        for cls in module.classes.values():
            cls.bases = PydanticBaseModel.default_name
        return module

    def generate_slot(self, slot: SlotDefinition, cls: ClassDefinition) -> SlotResult:
        """Replace the generator's range by the named type, its limits inside the list instead of on it."""
        result = super().generate_slot(slot, cls)
        if cls.abstract:
            return result
        info = self.catalogue["classes"][str(cls.name)]["fields"][str(slot.name)]
        inner = _range(info)
        if info.get("matrix"):
            inner = f"list[list[{inner}]]"
        elif info["multivalued"]:
            inner = f"list[{inner}]"
        # A list that is not required is empty when it is not given, so that it can be looped over.
        optional = not (info["required"] or info["multivalued"])
        result.attribute.range = f"{inner} | None" if optional else inner
        result.attribute.predefined = "[]" if info["multivalued"] and not info["required"] else None
        result.attribute.minimum_value = result.attribute.maximum_value = None
        return result

    def after_generate_class(self, cls: ClassResult, sv: Any) -> ClassResult:
        """Put the fields in the catalogue's order and hand the rules of the class to its template."""
        if cls.source.abstract:
            return cls
        entry = self.catalogue["classes"][cls.cls.name]
        cls.cls.attributes = {name: cls.cls.attributes[name] for name in entry["fields"]}
        if entry["conditions"]:
            keys = ("field", "present", "then", "pattern", "description")
            cls.cls.meta = {"conditions": [tuple(c.get(k) for k in keys) for c in entry["conditions"]]}
        return cls

    def _type(self, name: str) -> str:
        info = self.catalogue["types"][name]
        checks = [f"Field({_bounds(info)})"] if _bounds(info) else []
        if "pattern" in info:
            checks.append(f'_matches(r"{info["pattern"]}", {_quoted(info["description"])})')
        if name in CALENDAR:
            checks.append("AfterValidator(_calendar)")
        return f"{name} = Annotated[{', '.join([BASES[info['base']], *checks])}]"

    def _enum(self, name: str) -> str:
        values = self.catalogue["enums"][name]["values"]
        return f"{name} = Literal[{', '.join(map(_quoted, values))}]"


def _range(info: dict[str, Any]) -> str:
    if info["kind"] == "reference":
        return "RecordId"
    name = BASES.get(info["range"], info["range"])
    if info["range"] in BASES and "pattern" in info:
        return f'Annotated[{name}, _matches(r"{info["pattern"]}", {_quoted(info["description"])})]'
    if info["range"] in BASES and _bounds(info):
        return f"Annotated[{name}, Field({_bounds(info)})]"
    return str(name)


def _bounds(info: dict[str, Any]) -> str:
    return ", ".join(f"{k}={info[name]}" for k, name in (("ge", "minimum"), ("le", "maximum")) if name in info)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
