"""What an anchor of a large fleet costs: its heads read in order, hashed into a root, compressed; memory stays flat.

The cluster is a throw-away one without fsync. The gates are memory, which must not grow with the fleet, and that heads
in a fleet a hundred times larger do not each cost more.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, from wherever

from benchmarks.report import Row, report
from tenantctl.evidence.anchoring import pack
from tests.contracts.postgres import ALICE, PostgresCluster, postgres_cluster

FEW = 10_000
GROWTH_MAX_MB = 64
RATIO_MAX = 2.0
# Past the triggers and the keys: a million tenants are not needed to have a million heads.
FILL = """
INSERT INTO journal_heads (tenant_uid, sequence, hash)
SELECT substr(md5(n::text), 1, 12), n %% 900, encode(sha256(n::text::bytea), 'hex') FROM generate_series(1, %s) AS n
ON CONFLICT DO NOTHING
"""


def measure(cluster: PostgresCluster, heads: int) -> tuple[float, float, int]:
    """Seconds, megabytes that the process grew by, and the size of the list."""
    with cluster.registry_database() as database:
        with database.superuser_session() as session:
            session.execute("SET session_replication_role = replica")
            session.execute(FILL, [heads])
            session.execute("VACUUM ANALYZE journal_heads")
        registry = database.registry(ALICE)
        registry.identity()  # connected
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        with closing(tempfile.TemporaryFile()) as file:
            packed = pack(registry.heads(), file)
        taken = time.perf_counter() - began
        assert packed.chains > heads * 0.99
        return taken, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, packed.size


def rows(many: int) -> Iterator[Row]:
    """Few heads, then many."""
    with postgres_cluster() as cluster:
        few_seconds, _, _ = measure(cluster, FEW)
        yield Row(f"an anchor's list of {FEW:,} heads", few_seconds, "s")
        seconds, grown, size = measure(cluster, many)
        ratio = (seconds / many) / (few_seconds / FEW)
        limit = f"<= {RATIO_MAX:g} x of few, for each"
        yield Row(f"an anchor's list of {many:,} heads", seconds, "s", ratio, limit, holds=ratio <= RATIO_MAX)
        yield Row("  memory that it took", grown, "MB", None, f"<= {GROWTH_MAX_MB} MB", holds=grown <= GROWTH_MAX_MB)
        yield Row("  its size in each region", size / 1e6, "MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--heads", type=int, default=1_000_000)
    options, _ = parser.parse_known_args()
    report("anchors", list(rows(options.heads)))
