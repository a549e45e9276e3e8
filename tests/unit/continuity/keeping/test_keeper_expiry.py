"""What expires at a keeper: only what merged segments have replaced for long, and nothing that anybody asked for."""

from __future__ import annotations

from kept_log import KeptLog, kept, opened
from nirantar.continuity.keeping.rules import Bearer
from nirantar.limits import KEEPER_EXPIRY_DAYS

LOG = KeptLog()
DAY_US = 86_400_000_000
RESCUE = Bearer("recovery", "rescue")


def test_live_segments_expire_once_a_merged_one_has_lain_for_long() -> None:
    """Merged at once, younger than the days: nothing goes. Afterwards the replaced ones go, and their space is given
    back; what no merged segment covers stays however old; after a restart the keeper goes on where it was."""
    with kept() as (host, house):
        LOG.seal(house.keeper, 10, 20, 30, 40)
        host.advance(DAY_US * KEEPER_EXPIRY_DAYS)
        LOG.put(house.keeper, 0, 30, 40, level="minute")
        before = house.records.account("opd")
        house.keeper.look_round()
        assert len(house.keeper.list(RESCUE, "opd/live/", "")) == 4, "the merged one has not lain here long enough"
        host.advance(DAY_US * KEEPER_EXPIRY_DAYS)
        house.keeper.look_round()
        assert house.keeper.list(RESCUE, "opd/live/", "") == [LOG.key(30, 10)]
        assert house.keeper.list(RESCUE, "opd/minute/", "") == [LOG.key(0, 30, "minute")]
        after = house.records.account("opd")
        assert (before.objects - after.objects, after.bytes < before.bytes) == (3, True)
        house.close()
        again = opened(host)
        again.keeper.add_checkpoint(LOG.submission(40, 50), None)
        assert LOG.put(again.keeper, 40, 10, 50)
        again.close()


def test_a_death_between_file_and_record_is_made_good() -> None:
    """A record whose file is gone already is forgotten the next time."""
    with kept() as (host, house):
        LOG.seal(house.keeper, 10, 20)
        LOG.put(house.keeper, 0, 20, 20, level="minute")
        host.files.remove(house.keeper._directory / "vault" / LOG.key(0, 10))
        host.advance(DAY_US * KEEPER_EXPIRY_DAYS)
        house.keeper.look_round()
        assert [key for key, _, _ in house.records.segments("opd")] == [LOG.key(0, 20, "minute")]
