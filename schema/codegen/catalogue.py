"""The schema as plain data: what templates, error messages and the manual say of a class and its fields."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from linkml_runtime.linkml_model.meta import ClassDefinition, SlotDefinition
from linkml_runtime.utils.schemaview import SchemaView

PRIMITIVES = {"string": "text", "float": "a number", "integer": "a whole number"}


class Catalogue:
    """The classes, fields, types and conditions of the schema, in the order in which the modules state them.

    Attributes:
        view: the LinkML schema with its imports.
        data: ``{version, title, description, modules, types, enums, classes}``, ready to be written as JSON.
    """

    def __init__(self, root: Path) -> None:
        self.view = SchemaView(str(root))
        schema = self.view.schema
        order = [str(name) for name in schema.imports]
        modules = [*(name for name in order if name != "common"), "neuropack", "common"]
        concrete = [c for c in self.view.all_classes().values() if not c.abstract]
        rank = {f"https://neuropack.readthedocs.io/schema/{name}": i for i, name in enumerate(modules)}
        # all_classes() keeps the order inside a module; a stable sort puts the modules in ours.
        self.classes: list[ClassDefinition] = sorted(concrete, key=lambda c: rank[str(c.from_schema)])
        self.data: dict[str, Any] = {
            "version": str(schema.version),
            "title": str(schema.title),
            "description": str(schema.description),
            "types": {
                str(t.name): _tidy({"base": str(t.typeof), **_text(t), **_limits(t)})
                for t in sorted(self.view.all_types().values(), key=lambda t: str(t.name))
                if t.typeof
            },
            "enums": {
                str(e.name): {
                    "description": str(e.description),
                    "values": {
                        str(v.text): _tidy({**_text(v), "meaning": v.meaning and str(v.meaning)})
                        for v in e.permissible_values.values()
                    },
                }
                for e in sorted(self.view.all_enums().values(), key=lambda e: str(e.name))
            },
        }
        self.data["classes"] = {
            str(c.name): {
                "module": modules[rank[str(c.from_schema)]],
                **_text(c),
                "fields": {str(s.name): self._field(s) for s in self.slots(c)},
                "conditions": [_condition(rule) for rule in c.rules],
            }
            for c in self.classes
        }
        for name, entry in self.data["classes"].items():
            for slot, info in entry["fields"].items():
                info.setdefault("example", self._example(info))
                if info["example"] is None:
                    raise ValueError(f"{name}.{slot} has no example")

    def slots(self, cls: ClassDefinition) -> list[SlotDefinition]:
        """The fields of a class, inherited ones first."""
        names = self.view.class_slots(cls.name)
        inherited = [
            n for a in reversed(self.view.class_ancestors(cls.name)) for n in self.view.get_class(a).attributes
        ]
        return [self.view.induced_slot(n, cls.name) for n in sorted(names, key=inherited.index)]

    def _field(self, slot: SlotDefinition) -> dict[str, Any]:
        range_ = str(slot.range)
        info: dict[str, Any] = {"range": range_, **_text(slot), **self._type(range_, slot)}
        info["required"] = bool(slot.required)
        info["multivalued"] = bool(slot.multivalued)
        info["unit"] = str(slot.unit.ucum_code) if slot.unit else None
        info["min_items"], info["max_items"] = slot.minimum_cardinality, slot.maximum_cardinality
        info["matrix"] = True if slot.array else None
        info["prefixes"] = [str(p) for p in slot.id_prefixes] or None
        examples = [_value(str(e.value), info) for e in slot.examples]
        if examples:
            info["example"] = examples if slot.multivalued else examples[0]
        return _tidy(info)

    def _type(self, range_: str, slot: SlotDefinition) -> dict[str, Any]:
        if range_ in self.view.all_enums():
            values = self.view.get_enum(range_).permissible_values.values()
            return {
                "kind": "enum",
                "type": "one of the listed words",
                "enum": {str(v.text): str(v.description) for v in values},
            }
        if range_ in self.view.all_classes():
            if not (slot.inlined or slot.inlined_as_list):
                pattern = self.view.get_type("RecordId").pattern
                return {"kind": "reference", "type": f"the id of a record of {range_}", "pattern": str(pattern)}
            return {"kind": "record", "type": f"the fields of {range_}"}
        own = self.view.get_type(range_)
        base = str(own.typeof or range_)
        limits = {**_limits(own), **_limits(slot)}
        text = str(own.description) if own.typeof else PRIMITIVES[base]
        if not own.typeof and "minimum" in limits:
            text += f" from {limits['minimum']} to {limits['maximum']}"
        return {"kind": {"float": "number"}.get(base, base), "type": text, **limits}

    def _example(self, info: dict[str, Any]) -> Any:
        """A record with its required fields, made of their own examples."""
        if info["kind"] != "record":
            return None
        fields = self.data["classes"][info["range"]]["fields"]
        record = {n: f.get("example", self._example(f)) for n, f in fields.items() if f["required"]}
        conditions = self.data["classes"][info["range"]]["conditions"]
        # Of a field and its way out, the field; of the two forms of an emission, the first.
        for condition in sorted(conditions, key=lambda c: "pattern" in c):
            name, other = condition["field"], condition["then"]
            met = other in record and "pattern" not in condition
            if name not in record and not condition["present"] and not met:
                record[name] = fields[name]["example"]
        record = {name: record[name] for name in fields if name in record}
        return [record] if info["multivalued"] else record


def _text(element: Any) -> dict[str, str]:
    return {"description": " ".join(str(element.description).split())}


def _limits(element: Any) -> dict[str, Any]:
    limits = {"pattern": element.pattern, "minimum": element.minimum_value, "maximum": element.maximum_value}
    return {k: str(v) if k == "pattern" else v for k, v in limits.items() if v is not None}


def _tidy(entry: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in entry.items() if v is not None}


def _value(text: str, info: dict[str, Any]) -> Any:
    # LinkML keeps every example as text.
    if info.get("matrix"):
        return ast.literal_eval(text)
    if info["kind"] == "number":
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 1e6 else number
    return int(text) if info["kind"] == "integer" else text


def _condition(rule: Any) -> dict[str, Any]:
    """A rule of the one form the schema uses: where one field is absent (or present), another one is needed.

    ``then`` is that other field; with ``pattern`` it must also match.
    """
    ((name, before),) = rule.preconditions.slot_conditions.items()
    ((other, after),) = rule.postconditions.slot_conditions.items()
    pattern = f"^{after.equals_string}$" if after.equals_string else after.pattern
    if before.value_presence is None or not (after.required or pattern):
        raise ValueError(f"the rule on {name} has a form that the generator does not know")
    present = str(before.value_presence.text if hasattr(before.value_presence, "text") else before.value_presence)
    entry = {
        "field": str(name),
        "present": present == "PRESENT",
        "then": str(other),
        "pattern": pattern and str(pattern),
    }
    return {**_tidy(entry), **_text(rule)}
