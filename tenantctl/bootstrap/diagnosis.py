"""Everything that the program stands on, looked at from the ground up.

What is missing below is told once, and not again by everything above it; the rest is looked at as far as it can be.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

from tenantctl.bootstrap import CloudWorld, policies
from tenantctl.config import Settings, is_production, load_settings
from tenantctl.model.errors import Refused, TenantctlError
from tenantctl.sweeps.doctor import Finding, examine
from tenantctl.sweeps.doctor_project import examine_programs, examine_project


def diagnose(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Settings, programs, policies, credentials, the project, the registry's schema, and then the fleet.

    Raises:
        Refused: no cloud is configured at all.
    """
    settings: Settings | None = None
    try:
        settings = load_settings(environment)
        yield Finding("configuration", True, f"project {settings.project}, registry {settings.registry_instance}")
    except Refused as error:
        if not is_production(environment):
            raise
        yield Finding.of_error("configuration", error, "See: tenantctl config show")
    yield examine_programs()
    try:
        yield Finding("policies", True, f"in order, digest {policies().digest}")
    except Refused as error:
        yield Finding.of_error("policies", error, "See: tenantctl policy check")
        return
    if settings is not None:
        with closing(CloudWorld(settings, looks_only=True)) as world:
            yield from _examine_world(world, settings)


def _examine_world(world: CloudWorld, settings: Settings) -> Iterator[Finding]:
    ground = () if settings.local else tuple(_examine_ground(world, settings))
    yield from ground
    if any(one.subject == "credentials" and not one.good for one in ground):
        return
    schema = _examine_schema(world)
    yield schema
    if not schema.good:
        return
    if settings.local:
        yield from examine(world)
    else:
        yield from examine(world, registry_instance=settings.registry_instance, machines_now=datetime.now(UTC))


def _examine_ground(world: CloudWorld, settings: Settings) -> Iterator[Finding]:
    from tenantctl.adapters.google.project import GoogleProject

    try:
        project = GoogleProject(settings.project, world.credentials)
    except TenantctlError as error:
        yield Finding.of_error("credentials", error, "gcloud auth application-default login")
        return
    yield from examine_project(project)


def _examine_schema(world: CloudWorld) -> Finding:
    from tenantctl.adapters.postgres.registry_schema import known_revision, look_at_schema, misfit

    engine = world.registry_engine()
    try:
        seen = look_at_schema(engine)
    except TenantctlError as error:
        return Finding.of_error("registry", error, "Bring its instance back.")
    finally:
        engine.dispose()
    if (refusal := misfit(seen, known_revision())) is not None:
        return Finding.of_error("registry", refusal, "tenantctl db upgrade")
    return Finding("registry's schema", True, f"at {seen.revision}; this program was written for {known_revision()}")
