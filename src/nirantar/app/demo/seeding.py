"""The demo's first patients, registered by the desk's own workflow before its doors open."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from nirantar.app.demo.strip import CLERK
from nirantar.app.drill.acknowledgements import Version
from nirantar.app.drill.people import person
from nirantar.app.founding import UHID
from nirantar.app.node import Node
from nirantar.host.port import Host
from nirantar.host.times import instant
from nirantar.interactions.accounts import Account
from nirantar.interactions.authorize import Caller
from nirantar.interactions.transaction import Purpose
from nirantar.workflows.patient_fields import PersonFields
from nirantar.workflows.registration import Place, RegisterPatient, register

SEEDED: Final = 12
_OPERATOR: Final = Caller("operator:demo", "Demo", "it-security", "demo")


def seed(host: Host, directory: Path, password: str) -> list[Version]:
    """Open the visitor's account and register SEEDED invented people, every second with a name in Devanagari. The
    acknowledged patients as the node serves them."""
    node = Node(host, directory)
    try:
        node.start()
        account = Account(CLERK.actor.partition(":")[2], CLERK.name, CLERK.role, active=True)
        node.doors.accounts.put(_OPERATOR, account, password)
        return [_register(host, node, number) for number in range(SEEDED)]
    finally:
        node.close()


def _register(host: Host, node: Node, number: int) -> Version:
    now_us = host.now_us()
    place = Place(
        node.papers.configuration.uhid_system, datetime.fromtimestamp(now_us // 1_000_000, UTC).date(), instant(now_us)
    )
    who = person(number)
    typed = PersonFields(
        name=who.name_hindi if number % 2 else who.name, gender=who.sex, age=str(who.age), district=who.town,
        phone=who.phone, language="hi",
    )
    command = RegisterPatient(typed, department="General Medicine")
    operations = register(command, node.doors.numbers.take(UHID), place)
    outcome = node.doors.transact(CLERK, operations, Purpose("register"))
    patient = outcome.results[0]
    stored = node.doors.read.read(CLERK, "Patient", patient.id)
    return Version(f"Patient/{stored.id}/_history/{stored.version_id}", stored.resource or b"")
