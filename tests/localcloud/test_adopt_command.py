"""A living database is adopted at a shell, on real clusters: looked at, refused, and taken in as it is."""

from contextlib import closing

from tenantctl.adapters.postgres.control import ControlSessions
from tenantctl.bootstrap import CloudWorld
from tenantctl.config import load_settings
from tests.localcloud.company import PLACE, TENANTS_INSTANCE, throw_away_company

ADOPT = ("tenant", "adopt", "acme", "--database", "shop", "--based-in", PLACE)


def test_a_database_of_an_older_fleet_becomes_a_tenant() -> None:
    """A dry run says what stands against it and changes nothing; then its customer finds its rows by our login."""
    with throw_away_company() as company:
        settings = load_settings({"TENANTCTL_LOCAL_DIR": str(company.folder)})
        with closing(CloudWorld(settings)) as world:
            control = ControlSessions(world.sessions)
            with control.on(TENANTS_INSTANCE) as session:
                session.execute("CREATE ROLE shop_app LOGIN")
                session.execute("GRANT shop_app TO cloudsqlsuperuser WITH INHERIT TRUE, SET TRUE")
                session.execute("CREATE DATABASE shop OWNER shop_app TEMPLATE template0")
            with control.inside(TENANTS_INSTANCE, "shop", search_path="public") as session:
                session.execute("CREATE PUBLICATION told")
                session.execute("SET ROLE shop_app")
                session.execute("CREATE TABLE orders AS SELECT n AS number FROM generate_series(1, 1000) n")
            looked = company.ask(*ADOPT, "--dry-run")
            assert (looked.code, "against it: it has the publication told" in looked.out) == (6, True), looked
            refused = company.ask(*ADOPT)
            assert (refused.code, "cannot be adopted" in refused.err) == (3, True), refused
            assert "acme" not in company.do("tenant", "list")
            with control.inside(TENANTS_INSTANCE, "shop") as session:
                session.execute("DROP PUBLICATION told")
            control.close()
        assert "adopt-database" in company.do(*ADOPT, "--dry-run")
        assert "requested" in company.do(*ADOPT, "--wait")
        assert company.tenant("acme")["state"] == "active"
        with company.session("acme") as cursor:
            cursor.execute("SELECT count(*), sum(number) FROM orders")
            assert tuple(cursor.fetchone()) == (1000, 500500)
            cursor.execute("ALTER TABLE orders ADD COLUMN says text")
        company.do("backup", "now", "acme")
        assert "verified by a restore" in company.do("backup", "verify", "acme")
        again = company.ask(*ADOPT)
        assert (again.code, "on no instance" in again.err) == (3, True), again
