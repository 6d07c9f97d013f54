"""The registry of faults: whom they strike, how often, and how they are written down."""

import json

import pytest

from tenantctl.localcloud.faults import Fault, Faults


def test_a_fault_strikes_as_often_as_it_says():
    """Counted down at each strike, and gone after the last."""
    faults = Faults()
    name = faults.add(Fault("storage", "status", times=2))
    assert [fault.times for fault in faults.list()] == [2]
    first = faults.take("storage", "GET", "/x")
    assert first is not None
    assert first.id == name
    assert [fault.times for fault in faults.list()] == [1]
    assert faults.take("storage", "GET", "/x") is not None
    assert faults.take("storage", "GET", "/x") is None
    assert faults.list() == ()


def test_a_fault_without_times_strikes_until_it_is_cleared():
    """None means until cleared; clearing one leaves the others."""
    faults = Faults()
    lasting, other = faults.add(Fault("sqladmin", "drop")), faults.add(Fault("storage", "drop", id="other"))
    assert other == "other"
    for _ in range(5):
        assert faults.take("sqladmin", "POST", "/x") is not None
    assert faults.clear(lasting) == 1
    assert faults.clear(lasting) == 0
    assert [fault.id for fault in faults.list()] == ["other"]
    assert faults.clear() == 1


@pytest.mark.parametrize(
    ("api", "method", "path", "struck"),
    [
        ("storage", "PUT", "/upload/storage/v1/b/vault-eu/o?name=a/b", True),
        ("storage", "GET", "/upload/storage/v1/b/vault-eu/o?name=a/b", False),
        ("sqladmin", "PUT", "/upload/storage/v1/b/vault-eu/o", False),
        ("storage", "PUT", "/storage/v1/b/vault-us/o", False),
    ],
)
def test_a_fault_strikes_only_whom_it_names(api, method, path, struck):
    """The interface, the method and the pattern of the path must all fit."""
    faults = Faults([Fault("storage", "status", method="PUT", path="/b/vault-eu/")])
    assert (faults.take(api, method, path) is not None) == struck


def test_faults_are_written_and_read_back():
    """A round trip through JSON loses nothing, the id included."""
    faults = Faults(
        [
            Fault("storage", "truncate", method="GET", path="^/download/", times=3, after_bytes=17),
            Fault("sqladmin", "delay", seconds=1.5, id="slow"),
            Fault("storage", "status", status=429),
        ]
    )
    assert Faults.from_json(faults.to_json()).list() == faults.list()
    assert [Fault.from_json(document) for document in json.loads(faults.to_json())] == list(faults.list())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"api": "storage"},
        {"api": "pubsub", "kind": "drop"},
        {"api": "storage", "kind": "explode"},
        {"api": "storage", "kind": "drop", "often": 1},
        {"api": "storage", "kind": "drop", "times": 0},
        {"api": "storage", "kind": "drop", "times": "two"},
        {"api": "storage", "kind": "drop", "method": "put"},
        {"api": "storage", "kind": "drop", "path": "("},
        {"api": "storage", "kind": "drop", "path": 7},
        {"api": "storage", "kind": "status", "status": 200},
        {"api": "storage", "kind": "delay", "seconds": -1},
        {"api": "storage", "kind": "drop", "after_bytes": -1},
    ],
)
def test_a_fault_that_could_never_strike_is_refused(document):
    """A misspelt fault would make a test pass that proves nothing."""
    with pytest.raises(ValueError, match="fault"):
        Fault.from_json(document)


@pytest.mark.parametrize("text", ["{}", "[1]", "nonsense"])
def test_what_is_no_list_of_faults_is_refused(text):
    """Also when it is JSON."""
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own sentence differs
        Faults.from_json(text)
