"""Whoever gives a port another method says whether it looks or acts: `plan` and `explain` are refused the latter."""

import pytest

from tenantctl.adapters.read_only import DECISIONS_LOOKS, REGISTRY_LOOKS
from tenantctl.ports.decisions import Decisions
from tenantctl.ports.registry import Registry

REGISTRY_ACTS = {
    *("request_tenant", "record_intent", "append_entry", "make_due"),
    *("add_instance", "set_instance_state", "claim", "renew", "release", "fenced"),
    *("record_anchor", "record_sealed", "record_reconciliation"),
    *("begin_audit", "record_audit", "record_unseen"),
    *("claim_many", "put_off", "retry", "park", "unpark", "alarm_parked", "take_token"),
}
DECISIONS_ACTS = {
    *("freeze", "unfreeze", "place_hold", "release_hold", "review_hold", "propose", "propose_batch", "approve"),
    *("report_delivered", "report_failed"),
}


@pytest.mark.parametrize(
    ("port", "looks", "acts"),
    [(Registry, REGISTRY_LOOKS, REGISTRY_ACTS), (Decisions, DECISIONS_LOOKS, DECISIONS_ACTS)],
    ids=["registry", "decisions"],
)
def test_each_method_looks_or_acts(port: type, looks: tuple[str, ...], acts: set[str]) -> None:
    methods = {name for name in dir(port) if not name.startswith("_")}
    assert methods - set(looks) - acts == set(), "say in read_only.py whether these look, or here that they act"
    assert set(looks) <= methods
    assert acts <= methods - set(looks)
