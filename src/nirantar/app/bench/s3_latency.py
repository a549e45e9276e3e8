"""How long a registration waits for an S3 vault that is some way off."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final

from nirantar.app.bench.faulty_proxy import faulty_proxy
from nirantar.app.bench.figure import Figure, compared, percentile
from nirantar.app.bench.ground import Ground, running_node
from nirantar.app.bench.object_store import object_store
from nirantar.app.bench.vault_latency import latencies

NAME: Final = "s3-latency"
DELAY_SECONDS: Final = 0.030
_BUCKET: Final = "bench"
_SEGMENT_BYTES: Final = 8 * 1024
_SAMPLES: Final = 50


def s3_latency(ground: Ground) -> Iterator[Figure]:
    """Milliseconds from the moment a registration was due to its answer, 50 a second, `durability = "vault"`, through
    S3 on loopback with 30 ms added to each request."""
    with object_store() as store, faulty_proxy(store.port, delay_seconds=DELAY_SECONDS) as proxy:
        store.make_bucket(_BUCKET)
        with running_node(
            ground, durability="vault", s3_vault=store.uri(_BUCKET, "far", endpoint=proxy.endpoint),
            s3_credentials=store.node.credentials_file,
        ) as node:
            taken = latencies(node)
            asked = len(proxy.requests)
        alone = _put_milliseconds(store.client())
    middle, late = percentile(taken, 50), percentile(taken, 99)
    yield Figure(
        NAME, "registration answered when S3 30 ms away has it, p99", late, "ms", None, "measured for its own sake",
        "Each round asks for the founding document, for newer rosters, and stores: three requests one after the other; "
        "who comes during a round waits for the next.",
        f"{len(taken)} registrations; p50 {middle:.1f} ms; {asked} requests with start and examination",
        (compared(late, "one PUT of that size without the 30 ms, p99", alone),), less_is_better=True,
    )


def _put_milliseconds(client: Any) -> float:
    taken = []
    for number in range(_SAMPLES):
        started = perf_counter()
        client.put_object(Bucket=_BUCKET, Key=f"alone/{number}", Body=bytes(_SEGMENT_BYTES), IfNoneMatch="*")
        taken.append((perf_counter() - started) * 1_000)
    return percentile(taken, 99)
