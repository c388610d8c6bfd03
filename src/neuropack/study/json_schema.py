"""The JSON Schema of study.yaml: an editor that has it completes names, shows help and underlines mistakes.

It is made from the same tree as the sheets, so it has no list of fields of its own. It takes whatever neuropack
takes: text where neuropack reads a number as text, and records without what another level or the raw file may say.
What only the files can tell, and what two places together forbid, it leaves to ``neuropack build``.
"""

from __future__ import annotations

import json
from typing import Any

from neuropack import schema
from neuropack.study.shape import Field, study_shape

Schema = dict[str, Any]
_TYPES = {
    "string": ["string", "number", "boolean"],  # 01 and 2025-03-14 are what was typed
    "number": ["number"],
    "integer": ["integer"],
    "boolean": ["boolean"],
}
# What must stand in a study itself, where all else may be inherited.
_MUST = ("dataset", "subjects", "specimens", "stacks", "id", "file")


def study_schema() -> Schema:
    """The JSON Schema, in draft 7: the one that editors know best."""
    made = _Maker()
    study = made.body(study_shape())
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "A study of neuropack"}
    return {**head, **study, "type": "object", "definitions": made.definitions}


class _Maker:
    """Makes the parts, each that comes several times once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self.names: dict[str, str] = {}

    def field(self, made: Field) -> Schema:
        """A value with its help."""
        said: Schema = {"description": _help(made)}
        if made.example is not None:
            said["examples"] = [made.example]
        return said | self._forms(made)

    def _forms(self, made: Field) -> Schema:
        """All forms that a value may have."""
        if made.schema is not None:
            return dict(made.schema)
        one = self._value(made)
        forms = [one] if made.one or not (made.many or made.matrix) else []
        if made.also is not None:
            other = self._record(made.also)
            forms.append(other)
            one = {"anyOf": [one, other]}
        if made.many or made.matrix:
            items = {"type": "array", "items": one} if made.matrix else one
            forms.append({"type": "array", "items": items})
        if not made.required:
            forms = [_or_null(form) for form in forms]
        return forms[0] if len(forms) == 1 else {"anyOf": forms}

    def _value(self, made: Field) -> Schema:
        """A single value."""
        if made.kind == "record":
            return self._record(made)
        if made.kind == "enum":
            return {"enum": list(made.words)}
        limits = {"pattern": made.pattern, "minimum": made.minimum, "maximum": made.maximum}
        return {"type": _TYPES[made.kind], **{key: value for key, value in limits.items() if value is not None}}

    def _record(self, made: Field) -> Schema:
        """A reference to a record, which allows null, and that this is none."""
        body = self.body(made)
        text = json.dumps(body)
        if text not in self.names:
            name = made.range or "part"
            self.names[text] = name if name not in self.definitions else f"{name}{len(self.definitions)}"
            self.definitions[self.names[text]] = body
        return {"type": "object", "allOf": [{"$ref": f"#/definitions/{self.names[text]}"}]}

    def body(self, made: Field) -> Schema:
        """A record with its fields."""
        properties = {key: self.field(inside) for key, inside in made.fields.items()}
        body: Schema = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
        needed = [key for key, inside in made.fields.items() if inside.required and _stands(made, key)]
        rules = [_rule(rule) for rule in schema.conditions(made.range)] if made.range and made.whole else []
        return body | ({"required": needed} if needed else {}) | ({"allOf": rules} if rules else {})


def _stands(made: Field, key: str) -> bool:
    """Whether a required field must stand here, and neither at another level nor in the raw file."""
    return made.whole or (key in _MUST and (made.many or key in ("dataset", "subjects")))


def _or_null(form: Schema) -> Schema:
    """A form that may be left empty; not as one of two, of which editors could not tell which one is wrong."""
    if "enum" in form:
        return {"enum": [*form["enum"], None]}
    kinds = form["type"] if isinstance(form["type"], list) else [form["type"]]
    return {**form, "type": [*kinds, "null"]}


def _rule(rule: Any) -> Schema:
    """Where one field is absent (or present), another one is needed."""
    given: Schema = {"required": [rule["field"]]}
    then: Schema = {"required": [rule["then"]]}
    if "pattern" in rule:
        then["properties"] = {rule["then"]: {"pattern": rule["pattern"]}}
    return {"if": given if rule["present"] else {"not": given}, "then": then}


def _help(made: Field) -> str:
    unit = f" Unit: {made.unit}." if made.unit else ""
    words = "".join(f"\n- {word}: {text}" for word, text in made.words.items() if text)
    return made.description + unit + words
