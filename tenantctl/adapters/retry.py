"""Decorators over ports that try again what may go through later.

Only `Transient` is tried again, and only what the port's contract calls safe to repeat. Waits grow exponentially and
are drawn at random, so that many workers do not come back in step; they end when `seconds` are used up, by waiting or
by the calls themselves. Of a stream only the opening is repeated: what has been read or written cannot be taken back.

A look never raises, it answers Unreachable, and the sweep comes again; it is tried a few times, against a single
lost packet, and not for as long as an effect, or a region that is down would hold up the sweep over all tenants.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar, cast

import tenacity

from tenantctl.model.errors import Transient, TurnedAway
from tenantctl.model.sighting import Sighting, Unreachable
from tenantctl.ports.instances import Instances, InstanceSeen, OperationSeen
from tenantctl.ports.keys import Keys, KeySeen, KeyStore
from tenantctl.ports.vault import BucketSeen, ObjectListed, ObjectSeen, Upload, Vault

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Port = TypeVar("Port")

LOOKS_MAX: Final = 3


@dataclass(frozen=True)
class Patience:
    """How long to go on: `seconds` in all, waits between `first_seconds` and `most_seconds`."""

    seconds: float = 60.0
    first_seconds: float = 0.2
    most_seconds: float = 10.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, function: Callable[Given, Answer], *arguments: Given.args, **options: Given.kwargs) -> Answer:
        """Call `function` until it does not raise Transient, or until patience ends: then that Transient is raised."""
        return self._retrying(tenacity.retry_if_exception_type(Transient), self._used_up)(
            function, *arguments, **options
        )

    def call_if_turned_away(
        self, function: Callable[Given, Answer], *arguments: Given.args, **options: Given.kwargs
    ) -> Answer:
        """The same for what must not be done twice: only what was not even begun is tried again."""
        return self._retrying(tenacity.retry_if_exception_type(TurnedAway), self._used_up)(
            function, *arguments, **options
        )

    def look(
        self, function: Callable[Given, Sighting[Answer]], *arguments: Given.args, **options: Given.kwargs
    ) -> Sighting[Answer]:
        """Call `function` up to `LOOKS_MAX` times, until it does not answer Unreachable."""
        unreachable = tenacity.retry_if_result(lambda answer: isinstance(answer, Unreachable))
        condition = unreachable | tenacity.retry_if_exception_type(Transient)
        return self._retrying(condition, self._looked_enough)(function, *arguments, **options)

    def _retrying(self, condition: Any, stop: Any) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=condition,
            stop=stop,
            wait=tenacity.wait_random_exponential(multiplier=self.first_seconds, max=self.most_seconds),
            sleep=self.sleep,
            retry_error_callback=_last_answer,
        )

    def _looked_enough(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= LOOKS_MAX or self._used_up(state)

    def _used_up(self, state: tenacity.RetryCallState) -> bool:
        used = max(state.idle_for, state.seconds_since_start or 0.0)
        return used + state.upcoming_sleep >= self.seconds


def _last_answer(state: tenacity.RetryCallState) -> Any:
    assert state.outcome is not None, "tenacity gives up only after an attempt"
    return state.outcome.result()  # returns what the last attempt returned, raises what it raised


class _RetryingProxy:
    def __init__(self, port: Any, methods: frozenset[str], patience: Patience) -> None:
        self._port, self._methods, self._patience = port, methods, patience

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if name not in self._methods:
            return attribute
        return lambda *arguments, **options: self._patience.call(attribute, *arguments, **options)


def retrying(port: Port, methods: Collection[str], patience: Patience | None = None) -> Port:
    """The same port, with these methods tried again; name only those that its contract lets you repeat.

    Raises:
        AttributeError: the port has no such method: a misspelt name must not leave a method untried.
    """
    for name in methods:
        getattr(port, name)
    return cast("Port", _RetryingProxy(port, frozenset(methods), patience or Patience()))


class RetryingVault:
    """A vault whose calls are repeated; of streams, their opening."""

    def __init__(self, vault: Vault, patience: Patience | None = None) -> None:
        self._vault = vault
        self._patience = patience or Patience()

    def look_at_bucket(self, bucket: str) -> Sighting[BucketSeen]:
        """See the port."""
        return self._patience.look(self._vault.look_at_bucket, bucket)

    def look(self, bucket: str, name: str) -> Sighting[ObjectSeen]:
        """See the port."""
        return self._patience.look(self._vault.look, bucket, name)

    def put(self, bucket: str, name: str, content: bytes) -> ObjectSeen:
        """See the port; putting the same bytes again is a no-op, so it may be repeated."""
        return self._patience.call(self._vault.put, bucket, name, content)

    @contextmanager
    def _upload(self, bucket: str, name: str) -> Iterator[Upload]:
        with ExitStack() as stack:
            yield self._patience.call(lambda: stack.enter_context(self._vault.upload(bucket, name)))

    def upload(self, bucket: str, name: str) -> AbstractContextManager[Upload]:
        """See the port."""
        return self._upload(bucket, name)

    def read(self, bucket: str, name: str) -> Iterator[bytes]:
        """See the port."""
        return self._patience.call(self._vault.read, bucket, name)

    def hold(self, bucket: str, name: str) -> ObjectSeen:
        """See the port; a hold put on again is one hold."""
        return self._patience.call(self._vault.hold, bucket, name)

    def release(self, bucket: str, name: str) -> ObjectSeen:
        """See the port; what is let go may be let go again."""
        return self._patience.call(self._vault.release, bucket, name)

    def names(self, bucket: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """See the port."""
        return self._patience.look(self._vault.names, bucket, prefix)

    def objects(self, bucket: str, *, after: str, limit: int) -> Sighting[tuple[ObjectListed, ...]]:
        """See the port."""
        return self._patience.look(self._vault.objects, bucket, after=after, limit=limit)


class RetryingKeys:
    """Keys whose calls are repeated: none of them changes anything."""

    def __init__(self, keys: Keys, patience: Patience | None = None) -> None:
        self._keys = keys
        self._patience = patience or Patience()

    def wrap(self, region: str, plaintext: bytes, *, context: str) -> bytes:
        """See the port."""
        return self._patience.call(self._keys.wrap, region, plaintext, context=context)

    def unwrap(self, region: str, wrapped: bytes, *, context: str) -> bytes:
        """See the port."""
        return self._patience.call(self._keys.unwrap, region, wrapped, context=context)

    def look(self, region: str) -> Sighting[KeySeen]:
        """See the port."""
        return self._patience.look(self._keys.look, region)


class RetryingKeyStore:
    """A key store whose calls are repeated: putting the same bytes and removing again are no-ops."""

    def __init__(self, store: KeyStore, patience: Patience | None = None) -> None:
        self._store = store
        self._patience = patience or Patience()

    def put(self, region: str, name: str, content: bytes) -> ObjectSeen:
        """See the port."""
        return self._patience.call(self._store.put, region, name, content)

    def read(self, region: str, name: str) -> bytes:
        """See the port."""
        return self._patience.call(self._store.read, region, name)

    def remove(self, region: str, name: str) -> None:
        """See the port."""
        self._patience.call(self._store.remove, region, name)

    def look(self, region: str, name: str) -> Sighting[ObjectSeen]:
        """See the port."""
        return self._patience.look(self._store.look, region, name)

    def look_at_bucket(self, region: str) -> Sighting[BucketSeen]:
        """See the port."""
        return self._patience.look(self._store.look_at_bucket, region)

    def names(self, region: str, prefix: str) -> Sighting[tuple[str, ...]]:
        """See the port."""
        return self._patience.look(self._store.names, region, prefix)


class RetryingInstances:
    """The instances, with every call repeated; `create` only if it was turned away: twice would be a second's cost."""

    def __init__(self, instances: Instances, patience: Patience | None = None) -> None:
        self._instances = instances
        self._patience = patience or Patience()

    def look(self, name: str) -> Sighting[InstanceSeen]:
        """See the port."""
        return self._patience.look(self._instances.look, name)

    def all(self) -> Sighting[tuple[InstanceSeen, ...]]:
        """See the port."""
        return self._patience.look(self._instances.all)

    def create(self, name: str, region: str) -> OperationSeen:
        """See the port."""
        return self._patience.call_if_turned_away(self._instances.create, name, region)

    def operation(self, name: str) -> OperationSeen:
        """See the port."""
        return self._patience.call(self._instances.operation, name)

    def add_login(self, instance: str, email: str, *, roles: tuple[str, ...]) -> OperationSeen:
        """See the port; the same login again is a no-op, so it may be repeated."""
        return self._patience.call(self._instances.add_login, instance, email, roles=roles)
