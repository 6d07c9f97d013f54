"""Records that are changed by the hundred: what `dataclasses.replace` makes, and nothing remembered of before."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tenantctl.adapters.memory.changed import changed
from tenantctl.adapters.memory.registry_books import Pages
from tenantctl.model.backup import Backup, BackupState, Copy, CopyState, RetentionClass
from tenantctl.model.journal import FIRST_LINK, Entry

NOW = datetime(2027, 1, 1, tzinfo=UTC)
COPY = Copy("b1", "acme", "us-south1", "bucket", "acme/b1/dump.zst.age", CopyState.INTENDED, NOW, NOW, NOW)
BACKUP = Backup("b1", "acme", "2027-01-01", RetentionClass.DAILY, BackupState.COMPLETE, NOW, copies=(COPY,))


def test_it_is_what_replace_makes() -> None:
    """Field for field, and the record itself stays as it was."""
    before = replace(BACKUP)
    assert changed(BACKUP, slot="other", size=7) == replace(BACKUP, slot="other", size=7)
    assert before == BACKUP


def test_what_was_found_once_is_found_anew() -> None:
    """Whether a copy is lacking is kept for as long as the record is; of a changed one it is asked again."""
    assert BACKUP.lacks_copies
    written = changed(BACKUP, copies=(changed(COPY, state=CopyState.WRITTEN),))
    assert not written.lacks_copies
    assert BACKUP.lacks_copies


def test_a_field_that_is_none_is_refused() -> None:
    """A slip of the pen would otherwise change nothing, and say nothing."""
    with pytest.raises(TypeError, match="Copy has no stat"):
        changed(COPY, stat=CopyState.WRITTEN)


def test_what_a_transaction_that_was_given_up_has_written_is_in_no_journal() -> None:
    """Journals share their sheets: who goes on from the same entry has another one after it."""
    first, lost, kept = (Entry("acme", 1, NOW, "a", event, "", "{}", FIRST_LINK, event) for event in ("1", "2", "3"))
    begun = Pages.after((), first)
    given_up, gone_on = Pages.after(begun, lost), Pages.after(begun, kept)
    assert [list(pages) for pages in (begun, given_up, gone_on)] == [[first], [first, lost], [first, kept]]
    assert (len(begun), begun[-1], begun[1:], gone_on[-1], gone_on[1:]) == (1, first, [], kept, [kept])
