"""The control interface of a local cloud: what the real one does not have.

It moves the clock, commits faults, and lets tests kill what a user would not. It asks for the token in `cloud.json`,
which only the owner of the local cloud can read.
"""

import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import psycopg
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tenantctl.localcloud.cloud import Cloud
from tenantctl.localcloud.faults import Fault
from tenantctl.localcloud.fleet import Instance
from tenantctl.localcloud.loopback import loopback_middleware
from tenantctl.localcloud.object_store import lose_object
from tenantctl.localcloud.operations import PlannedFailure
from tenantctl.localcloud.template import ClusterFailed

_REFUSED: Final = (ValueError, KeyError, TypeError)


def control_interface(cloud: Cloud, shut_down: Callable[[], None]) -> web.Application:
    """Make the application that serves the control interface.

    Args:
        cloud: What it controls.
        shut_down: Called when the local cloud is asked to stop.
    """
    control = _Control(cloud, shut_down)
    app = web.Application(middlewares=[loopback_middleware(), _plain_errors(), _only_owner(cloud.file.token)])
    app.add_routes(
        [
            web.get("/status", control.status),
            web.post("/advance", control.advance),
            web.post("/shutdown", control.shutdown),
            web.get("/faults", control.faults),
            web.post("/faults", control.add_fault),
            web.delete("/faults", control.clear_faults),
            web.delete("/faults/{id}", control.clear_faults),
            web.put("/permissions", control.lay_down_permissions),
            web.post("/operations/fail", control.fail_operation),
            web.post("/objects/lose", control.lose_object),
            web.post("/instances/{name}/{act:start|stop|kill}", control.act_on_instance),
        ]
    )
    return app


class _Control:
    def __init__(self, cloud: Cloud, shut_down: Callable[[], None]) -> None:
        self._cloud = cloud
        self._shut_down = shut_down

    async def status(self, _request: web.Request) -> web.Response:
        return web.json_response(self._cloud.status())

    async def advance(self, request: web.Request) -> web.Response:
        seconds = (await _document(request))["seconds"]
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError("seconds is a number.")
        try:
            duration = timedelta(seconds=seconds)
        except OverflowError as error:
            raise ValueError("The duration is longer than any calendar.") from error
        await self._cloud.advance(duration)
        return web.json_response(self._cloud.status())

    async def shutdown(self, _request: web.Request) -> web.Response:
        self._shut_down()
        return web.json_response({})

    async def faults(self, _request: web.Request) -> web.Response:
        return web.json_response([fault.to_json() for fault in self._cloud.faults.list()])

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = Fault.from_json(await _document(request))
        return web.json_response({"id": self._cloud.faults.add(fault)})

    async def clear_faults(self, request: web.Request) -> web.Response:
        return web.json_response({"cleared": self._cloud.faults.clear(request.match_info.get("id"))})

    async def lay_down_permissions(self, request: web.Request) -> web.Response:
        self._cloud.permissions.lay_down((await _document(request))["table"])
        return web.json_response({})

    async def fail_operation(self, request: web.Request) -> web.Response:
        document = await _document(request)
        failure = PlannedFailure(str(document["type"]), str(document["message"]), int(document.get("times", 1)))
        self._cloud.operations.plan_failure(failure)
        return web.json_response({})

    async def lose_object(self, request: web.Request) -> web.Response:
        document = await _document(request)
        lost = await lose_object(self._cloud.storage, str(document["bucket"]), str(document["name"]))
        return web.json_response({"lost": lost})

    async def act_on_instance(self, request: web.Request) -> web.Response:
        instance = self._instance(request.match_info["name"])
        fleet = self._cloud.fleet
        acts = {"start": fleet.start, "stop": fleet.stop, "kill": fleet.crash}
        await acts[request.match_info["act"]](instance)
        return web.json_response(self._cloud.status())

    def _instance(self, name: str) -> Instance:
        found = self._cloud.fleet.get(name)
        if found is None:
            raise ValueError(f"There is no instance {name}.")
        return found


async def _document(request: web.Request) -> dict[str, Any]:
    document = json.loads(await request.read() or b"null")
    if not isinstance(document, dict):
        raise TypeError("the body is not a JSON object.")
    return document


def _only_owner(token: str) -> Middleware:
    @web.middleware
    async def ask(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return web.json_response({"error": "The token of this local cloud is needed."}, status=401)
        return await handler(request)

    return ask


def _plain_errors() -> Middleware:
    @web.middleware
    async def say(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except _REFUSED as error:
            said = f"{error} is missing." if isinstance(error, KeyError) else str(error)
            return web.json_response({"error": said}, status=400)
        except (ClusterFailed, psycopg.Error, OSError) as error:
            return web.json_response({"error": str(error)}, status=500)

    return say
