"""Rounds of comparison over any history of writes: sets of rows behave as sets, and no wrong copy passes."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantctl.adapters.memory.archives import digest_of
from tenantctl.model.backup import TableDigest
from tenantctl.model.row_sets import ALL_ROWS, NO_ROWS, ByTable, Key, Rows, keys_of, known_by, together
from tenantctl.model.tenant import Hosting
from tenantctl.relocation import proving as proving_rounds
from tenantctl.relocation.proving import Proving

Write: TypeAlias = tuple[str, Key, str | None]
Happens: TypeAlias = tuple[list[Write], int, str | None]

KEYS: tuple[Key, ...] = tuple((name,) for name in "abcde")
TABLES = ("one", "two")
SOURCE, TARGET = Hosting("u", "tenants-1", "us-central1", 1), Hosting("u", "tenants-2", "europe-west1", 2)
rows = st.builds(Rows, st.frozensets(st.sampled_from(KEYS)), st.booleans())
writes = st.tuples(st.sampled_from(TABLES), st.sampled_from(KEYS), st.none() | st.sampled_from("xyz"))
tables = st.fixed_dictionaries(
    {name: st.dictionaries(st.sampled_from(KEYS), st.sampled_from("xyz")) for name in TABLES}
)
# At each step the customer writes so many times, the copy follows so far, and a table may be rewritten.
steps = st.lists(st.tuples(st.lists(writes, max_size=3), st.integers(0, 3), st.none() | st.sampled_from(TABLES)))


@given(rows, rows, st.sampled_from(KEYS))
def test_sets_of_rows_are_sets(one: Rows, other: Rows, key: Key) -> None:
    """Whether they name their rows, or all others."""
    assert (key in one | other) is (key in one or key in other)
    assert (key in one - other) is (key in one and key not in other)
    assert (key in ALL_ROWS - one) is (key not in one)
    assert key not in NO_ROWS


@given(
    st.dictionaries(st.sampled_from(TABLES), rows), st.dictionaries(st.sampled_from(TABLES), rows), st.integers(0, 9)
)
def test_what_is_not_remembered_is_everything(one: ByTable, other: ByTable, keys_max: int) -> None:
    """No row is forgotten for lack of room, and never are more keys kept than there is room for."""
    both = together(one, other, keys_max=keys_max)
    assert keys_of(both) <= keys_max
    for table in TABLES:
        for key in KEYS:
            named = key in one.get(table, NO_ROWS) or key in other.get(table, NO_ROWS)
            assert not named or key in both[table]


def test_keys_hold_for_tables_that_are_what_they_were() -> None:
    """Of any other, and of those that no log tells of, everything is to be compared."""
    log = {"same": "1", "rewritten": "2", "gone": "3", "untold": None, "silent": "4"}
    now = {"same": "1", "rewritten": "9", "new": "5", "untold": None, "silent": "4"}
    told = known_by(log, now, {name: Rows(frozenset({("a",)})) for name in ("same", "rewritten", "gone", "untold")})
    assert {name for name, rows in told.items() if rows == ALL_ROWS} == {"rewritten", "gone", "untold", "new"}
    assert (told["same"], told["silent"]) == (Rows(frozenset({("a",)})), NO_ROWS)


@dataclass
class History:
    """A source, its log, and a copy that follows it; something happens whenever either is looked at."""

    source: dict[str, dict[Key, str]]
    target: dict[str, dict[Key, str]]
    steps: list[Happens]
    log: list[Write] = field(default_factory=list)
    applied: int = 0
    told: int = 0
    files: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    rewritten_alike: bool = True

    def step(self) -> None:
        wrote, follows, rewritten = self.steps.pop() if self.steps else ([], 0, None)
        for table, key, value in wrote:
            self.log.append((table, key, value))
            _write(self.source, table, key, value)
        if rewritten is not None:
            self.files[rewritten] += 1
            if not self.rewritten_alike:
                self.source[rewritten] = {key: f"{value}!" for key, value in self.source[rewritten].items()}
        for _ in range(follows):
            self.follow()

    def follow(self) -> None:
        if self.applied < len(self.log):
            _write(self.target, *self.log[self.applied])
            self.applied += 1

    def catch_up(self) -> None:
        self.step()
        for _ in range(len(self.log) - self.applied):
            self.follow()
        self.step()

    @property
    def shapes(self) -> Mapping[str, str | None]:
        return {table: str(number) for table, number in self.files.items()}

    def read(self) -> ByTable:
        self.step()
        new, self.told = self.log[self.told :], len(self.log)
        return {table: Rows(frozenset(key for of, key, _ in new if of == table)) for table in TABLES}

    @contextlib.contextmanager
    def frozen(self, hosting: Hosting) -> Iterator["Snapshot"]:
        self.step()
        side = self.source if hosting == SOURCE else self.target
        meanwhile = self.step if hosting == SOURCE else lambda: None  # one thread of the two is enough
        found = Snapshot({table: dict(there) for table, there in side.items()}, self.shapes, meanwhile)
        self.step()
        yield found

    def prove(self) -> tuple[Proving, bool]:
        """Before the fence and behind it; whether the two were found to be the same."""
        going: Any = self
        log: Any = _Log(self, self.shapes)
        proving = Proving(going, SOURCE, TARGET, log, catch_up=self.catch_up, check=lambda: None)
        if proving.beforehand():
            return proving, False
        self.steps.clear()  # the writers are out
        self.catch_up()
        proving.read_on()
        return proving, not proving.rest()


@dataclass
class Snapshot:
    tables: dict[str, dict[Key, str]]
    shapes: Mapping[str, str | None]
    meanwhile: Callable[[], None]

    def sums(self, asked: ByTable) -> Mapping[str, TableDigest]:
        self.meanwhile()
        return {
            table: digest_of([f"{key}{value}" for key, value in self.tables[table].items() if key in some])
            for table, some in asked.items()
        }


@dataclass
class _Log:
    history: History
    shapes: Mapping[str, str | None]  # as they were when it began

    def read(self) -> ByTable:
        return self.history.read()


def _write(side: dict[str, dict[Key, str]], table: str, key: Key, value: str | None) -> None:
    if value is None:
        side[table].pop(key, None)
    else:
        side[table][key] = value


@given(tables, steps)
def test_a_copy_that_follows_is_never_taken_for_another(
    there: dict[str, dict[Key, str]], happens: list[Happens]
) -> None:
    """Whatever is written, whenever, and however late it arrives."""
    history = History(there, {table: dict(found) for table, found in there.items()}, happens)
    assert history.prove()[1]
    assert history.source == history.target


@given(tables, st.none() | tables, steps)
def test_no_wrong_copy_passes(
    there: dict[str, dict[Key, str]],
    copy: dict[str, dict[Key, str]] | None,
    happens: list[Happens],
) -> None:
    """What differed from the beginning and was not written over since is found, and what a rewrite has altered."""
    copy = copy or {table: dict(found) for table, found in there.items()}
    history = History(there, copy, happens, rewritten_alike=False)
    _, same = history.prove()
    assert not same or history.source == history.target


def test_each_round_leaves_what_changed_while_it_went_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed during the first is compared by the second, and is not left for the fence."""
    monkeypatch.setattr(proving_rounds, "FEW_KEYS", 0)
    quiet: Happens = ([], 0, None)
    busy: Happens = ([("one", key, "y") for key in KEYS], 0, None)
    for when in range(8):  # each time that the first round looks
        there: dict[str, dict[Key, str]] = {name: {("a",): "x"} for name in TABLES}
        steps = [quiet] * when + [busy]
        history = History(there, {table: dict(found) for table, found in there.items()}, steps[::-1])
        going, same = history.prove()
        assert (same, keys_of(going.owed)) == (True, 0), when


def test_a_table_that_was_another_for_a_while_is_not_taken_for_proved() -> None:
    """Its key was altered and altered back: the round in between has compared nothing of it."""

    class Altered(History):
        looks = 0

        @property
        def shapes(self) -> Mapping[str, str | None]:
            self.looks += 1
            return {"one": "another" if self.looks == 2 else "0", "two": "0"}  # the second look is the first round's

    history = Altered({"one": {("a",): "x"}, "two": {}}, {"one": {("a",): "y"}, "two": {}}, [])
    assert not history.prove()[1]
    assert history.looks > 2


@pytest.mark.parametrize("table", TABLES)
def test_what_is_lost_behind_the_last_round_is_found_if_the_log_names_it(table: str) -> None:
    """A copy that loses a change, of which the log tells by itself."""
    history = History({name: {("a",): "x"} for name in TABLES}, {name: {("a",): "x"} for name in TABLES}, [])
    proving, same = history.prove()
    assert same
    history.log.append((table, ("a",), "y"))
    _write(history.source, table, ("a",), "y")
    history.applied += 1  # and lost
    assert proving.rest() == ()  # not read yet
    proving.read_on()
    assert proving.rest()
