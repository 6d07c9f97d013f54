"""A copy compared with its source while the customer works, so that few rows are left to compare behind the fence.

In rounds, as a running machine's memory is carried from one host to another: a snapshot of the source, and a later one
of the target, must agree on every row that was still to be compared and that the log does not show as changed since the
first of the two. What it shows as changed is what the next round compares. The first round reads everything; each later
one reads, by their keys, the rows that changed while the last one went on. What is left after the last round, and what
changes until the writers are out, is compared behind the fence (docs/decisions/0024).

Tables without a key, those that were emptied, rewritten or altered since, and those with too many changes to remember,
are compared whole, and behind the fence too if the log shows any change of them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final

from tenantctl.backups.restore import differences
from tenantctl.model.row_sets import ALL_ROWS, NO_ROWS, ByTable, keys_of, known_by, together, whole_tables
from tenantctl.model.tenant import Hosting
from tenantctl.ports.replication import Changes, Frozen, Replication

ROUNDS_MAX: Final = 4
FEW_KEYS: Final = 1000  # as many are looked up in some hundredths of a second
# How often the log is read in a long round: the source keeps what nobody has read. Each time it decodes again what it
# has written since it last noted which transactions were open, and it notes that about as often.
READ_SECONDS: Final = 15.0


class Proving:
    """What of a copy is still to be compared, from the moment at which the log began to be read.

    Args:
        replication: which carries the copy.
        source: the database.
        target: its copy.
        log: what changes in the source.
        catch_up: returns once the target has everything that was committed in the source when it was called.
        check: raises if this is to be left alone; called now and then.
    """

    def __init__(
        self,
        replication: Replication,
        source: Hosting,
        target: Hosting,
        log: Changes,
        *,
        catch_up: Callable[[], None],
        check: Callable[[], None],
    ) -> None:
        self._replication, self._source, self._target, self._log = replication, source, target, log
        self._catch_up, self._check = catch_up, check
        self.owed: ByTable = dict.fromkeys(log.shapes, ALL_ROWS)

    def beforehand(self) -> Sequence[str]:
        """Compares until little is left, or no less than before; how the two differ, and nothing if they do not."""
        before = (whole_tables(self.owed) + 1, 0)
        for _ in range(ROUNDS_MAX):
            if faults := self._round():
                return faults
            left = (whole_tables(self.owed), keys_of(self.owed))
            if left >= before or (left[0] in {0, before[0]} and left[1] <= FEW_KEYS):
                break
            before = left
        return ()

    def read_on(self) -> None:
        """Adds what has changed since; at the fence this is the last of it."""
        self._check()
        self.owed = together(self.owed, self._log.read())

    def rest(self) -> Sequence[str]:
        """Compares what is left, with nobody writing to either side any more; how the two differ."""
        with self._replication.frozen(self._source) as here, self._replication.frozen(self._target) as there:
            tables = {**dict.fromkeys(there.shapes), **here.shapes}
            return self._differences(here, there, known_by(self._log.shapes, tables, self.owed))

    def _round(self) -> Sequence[str]:
        self.read_on()
        owed = self.owed
        with self._replication.frozen(self._source) as here:
            self._catch_up()
            with self._replication.frozen(self._target) as there:
                self.owed = {}
                self.read_on()
                changed = known_by(self._log.shapes, here.shapes, self.owed)
                rows = {table: owed.get(table, NO_ROWS) - changed[table] for table in here.shapes}
                asked = {table: some for table, some in rows.items() if some}
                faults = self._differences(here, there, asked)
        self.owed = together(changed, self.owed)  # also all of a table whose shape was another for a while
        return faults

    def _differences(self, here: Frozen, there: Frozen, rows: ByTable) -> Sequence[str]:
        with ThreadPoolExecutor(2, thread_name_prefix="sums") as pool:
            sums = [pool.submit(one.sums, rows) for one in (here, there)]
            while wait(sums, timeout=READ_SECONDS).not_done:
                self.read_on()
            return tuple(differences(*(one.result() for one in sums)))
