"""Proof files of a chart that two nodes wrote, made on a simulated machine, and the same files forged."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nirantar.app.node import Node
from nirantar.fold.founding import FoundingDocument
from nirantar.host.simulated import SimulatedHost
from nirantar.interactions.authorize import Caller
from nirantar.interactions.disclose import Disclosure
from nirantar.interactions.operations import update
from nirantar.interactions.plain_zip import read_zip
from nirantar.interactions.proof_file import FOUNDING, MANIFEST, read_proof_file, write_proof_file
from nirantar.tlog.note import Signer, Verifier
from simulated_site import NEW, Site, found_site, opened, write

OFFICER = Caller("staff:mira", "Mira", "mrd-officer", "mrd-1")
PERSON = {"resourceType": "Patient", "id": "p", "name": [{"family": "One"}]}
WEIGHT = {
    "resourceType": "Observation", "id": "w", "status": "final", "code": {"text": "Weight"},
    "subject": {"reference": "Patient/p"}, "valueQuantity": {"value": 72, "unit": "kg"},
}
NEIGHBOUR = {"resourceType": "Patient", "id": "q", "name": [{"family": "Other"}]}


@dataclass(frozen=True)
class Proven:
    """A proof file, the key by which it is checked, and that of the node that made it."""

    data: bytes
    authority: Verifier
    maker: Signer

    @property
    def members(self) -> dict[str, bytes]:
        """What is in the archive, the manifest excepted."""
        members = read_zip(self.data)
        del members[MANIFEST]
        return members

    def forged(self, change: Callable[[dict[str, bytes]], object]) -> bytes:
        """The file as a thief of the node's key makes it: members changed, listed and signed anew."""
        members = self.members
        change(members)
        file = read_proof_file(self.data)
        return write_proof_file(file.subject, file.made_at, members, self.maker)


def disclose(node: Node, patient_id: str = "p", *, caller: Caller = OFFICER, reason: str = "For the court") -> Disclosure:
    """The proof of a chart, while the node's writer runs in this thread's place."""
    with ThreadPoolExecutor(1) as another:
        future = another.submit(node.doors.disclose.chart, caller, patient_id, reason)
        while not future.done():
            if not node.sequencer._queue.empty():
                node.sequencer.step()
            time.sleep(0.001)
        return future.result()


def site_of_two_nodes(host: SimulatedHost) -> Site:
    """A hospital whose first node wrote a patient and was lost; what was recovered has not written yet."""
    site = found_site(host)
    with opened(site) as node:
        write(node, update(PERSON))
        write(node, update(NEIGHBOUR))
    site.recovered()
    return site


def proven_chart() -> Proven:
    """A proof of a chart whose patient is in a lost node's log and whose observation is in the new one's."""
    with SimulatedHost(5) as host:
        site = site_of_two_nodes(host)
        with opened(site, NEW) as node:
            write(node, update(WEIGHT))
            data = disclose(node).data
            maker = node.papers.signer
    document = FoundingDocument.parse(read_zip(data)[FOUNDING])
    return Proven(data, Verifier.parse(document.authority), maker)
