"""Metrics, alerts, runbook entries and dashboard panels name the same things."""

import re

import pytest

from tenantctl.model.metrics import METRICS, Kind, Metric
from tests.house.repository import PACKAGE, ROOT, python_files
from tests.infrastructure.duties import measures

RUNBOOK = (ROOT / "docs/RUNBOOK.md").read_text(encoding="utf-8").partition("\n## Measures\n")[2].partition("\n## ")[0]
ROWS = {
    name: (what, remedy)
    for name, what, remedy in re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", RUNBOOK, flags=re.MULTILINE)
}
NAMES = {metric.name for metric in METRICS}
MADE_OF = re.compile(r"tenantctl_\w+?(?=_bucket\b|\b)")


def test_the_lists_are_the_same() -> None:
    """The program's, Terraform's, from which panels and alerts are made, and the runbook's."""
    assert set(measures()) == NAMES
    assert set(ROWS) == NAMES


def test_an_alert_pages_as_the_runbook_says() -> None:
    """The same severity on both sides, and no row that only claims to page."""
    for name, (what, remedy) in ROWS.items():
        severity = measures()[name].get("alert", {}).get("severity")
        assert re.findall(r"\b(?:CRITICAL|ERROR|WARNING)\b", what) == ([severity] if severity else []), name
        assert len(remedy) > 10, name


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_panel_and_alert_are_made_of_their_own_measure(metric: Metric) -> None:
    """And of its own labels; a count is told by its last word, a gauge by one, a spread by its quantiles."""
    one = measures()[metric.name]
    for query in (one["panel"], *([one["alert"]["when"]] if "alert" in one else [])):
        assert set(MADE_OF.findall(query)) == {metric.name}
        by = re.search(r"by \(([\w, ]+)\)", query)
        used = set(by[1].split(", ")) - {"le"} if by else set()
        used |= set(re.findall(r"[{,](\w+)=", query))
        assert used <= set(metric.labels)
        assert "_over_time(" in query
        assert ("_bucket[" in query) == (metric.kind is Kind.SPREAD)
    assert one.get("unit", "1") == metric.unit
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNT)


def test_no_measure_is_named_elsewhere_in_the_program() -> None:
    """So that a name is changed in one place."""
    for path in python_files(PACKAGE):
        if path.name != "metrics.py":
            text = path.read_text(encoding="utf-8")
            assert not [name for name in NAMES if name in text], path
