"""Mistakes in where a tenant is placed, in counting room, and in keeping data where it is promised to stay."""

from typing import Final

from tests.simulation.mutant import Mutant

NEAREST: Final = "tenantctl/placement/nearest.py"
CAPACITY: Final = "tenantctl/model/capacity.py"

BY_NEAREST: Final = ("tests/rooms/test_placement_nearest.py",)
BY_WAITING: Final = ("tests/rooms/test_waiting.py",)
BY_RESIDENCY: Final = ("tests/rooms/test_residency.py",)
BY_CONTRACT: Final = ("tests/contracts/test_registry_contract.py::TestInMemory",)

PLACEMENT: Final = (
    Mutant(
        "degrees are taken for a plane",
        NEAREST,
        "[(dist(here, region.unit_vector), region.id, region)",
        "[(dist((latitude, longitude), (region.latitude, region.longitude)) / 250, region.id, region)",
        BY_NEAREST,
    ),
    Mutant(
        "the antimeridian is a border of the world",
        "tenantctl/model/region.py",
        "phi, lam = math.radians(latitude), math.radians(longitude)",
        "phi, lam = math.radians(latitude), math.radians(longitude) / 2",
        BY_NEAREST,
    ),
    Mutant(
        "latitude and longitude are swapped",
        NEAREST,
        "    here = unit_vector(latitude, longitude)\n",
        "    here = unit_vector(longitude, latitude)\n",
        BY_NEAREST,
    ),
    Mutant(
        "the earth is a ball",
        "tenantctl/model/region.py",
        "    mu = phi - _TO_RECTIFYING * math.sin(2.0 * phi)\n",
        "    mu = phi\n",
        BY_NEAREST,
    ),
    Mutant(
        "a tenant is placed where its backups must leave the jurisdiction that it stays in",
        "tenantctl/placement/planning.py",
        "                or partner_objection(region.id, kept, policy, catalogue.jurisdictions)\n",
        "",
        BY_RESIDENCY,
    ),
    Mutant(
        "copies of data that stays go to partners abroad",
        "tenantctl/backups/terms.py",
        "if kept_in is None or jurisdictions.get(one) == kept_in))",
        "if one != region))",
        BY_RESIDENCY,
    ),
    Mutant(
        "a restore elsewhere does not ask where the backups would go",
        "tenantctl/placement/elsewhere.py",
        "elif required is not None and (objection := partner_objection(",
        "elif required == home and (objection := partner_objection(",
        BY_RESIDENCY,
    ),
    Mutant(
        "an instance has promised all its connections and takes one more",
        CAPACITY,
        "instance.connections + demand.connections > limit:",
        "instance.connections > limit:",
        BY_CONTRACT,
    ),
    Mutant(
        "newcomers use up the headroom",
        CAPACITY,
        "instance.bytes_max * (100 - demand.headroom_percent)",
        "instance.bytes_max * 100",
        BY_CONTRACT,
    ),
    Mutant(
        "a draining instance takes tenants",
        CAPACITY,
        "    if instance.state is not InstanceState.SERVING:\n",
        "    if instance.state is None:\n",
        BY_CONTRACT,
    ),
    Mutant(
        "the instance with the fewest databases is taken for the emptiest",
        CAPACITY,
        "key=lambda one: (fullest_share(one), one.databases, one.name)",
        "key=lambda one: (one.databases, one.name)",
        BY_CONTRACT,
    ),
    Mutant(
        "a newcomer overtakes those who wait for room",
        "tenantctl/onboarding/request.py",
        "room = room_left(queue(world.registry),",
        "room = room_left((),",
        BY_WAITING,
    ),
    Mutant(
        "who waits for room takes the place of those before it",
        "tenantctl/onboarding/waiting.py",
        "room_left(waiting[:position],",
        "room_left(waiting[:0],",
        BY_WAITING,
    ),
    Mutant(
        "a converted trial ends all the same",
        "tenantctl/model/trial.py",
        "        if intent.kind is IntentKind.CONVERT:\n            return None\n",
        "",
        ("tests/rooms/test_trials.py",),
    ),
)
