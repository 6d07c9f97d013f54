"""`tenantctl serve`: the HTTP service that billing talks to."""

from contextlib import nullcontext

import click


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; a container's: 0.0.0.0."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, envvar="PORT", help="The port.")
def serve(host: str, port: int) -> None:
    """Take billing's events over HTTP, until stopped.

    Lets in only the service accounts of TENANTCTL_SERVICE_CALLERS, with a token
    for TENANTCTL_SERVICE_AUDIENCE. Publishes changes of state where
    TENANTCTL_OUTBOUND_TOPIC names a topic; tenantctl billing publish does so too.
    """
    from tenantctl.bootstrap import opened_world
    from tenantctl.bootstrap.telemetry import telemetry
    from tenantctl.config import effective_environment
    from tenantctl.model.errors import Refused

    try:
        from tenantctl.entrypoints.service.server import Publishing, gate_for, server_for
    except ModuleNotFoundError as error:
        raise Refused(
            f"The service is not installed here: {error}.", hint="pip install 'tenantctl[service]'"
        ) from error
    from tenantctl.billing.publishing import publish_all
    from tenantctl.entrypoints.service.app import Desk
    from tenantctl.entrypoints.service.settings import service_settings

    settings = service_settings(effective_environment())
    with opened_world() as world, telemetry(world):
        desk = Desk(world.registry, world.decisions, world.billing)
        desk.registry.now()
        server = server_for(desk, gate_for(settings), host=host, port=port)
        topic = world.topic if world.settings.outbound_topic is not None else None
        click.echo(f"Serving on http://{host}:{port} for {settings.audience}", err=True)
        with nullcontext() if topic is None else Publishing(lambda: publish_all(world.billing, topic.send)):
            server.run()
    if not server.started:
        raise Refused(f"Nothing could be served on {host}:{port}.", hint="Choose another port: --port")
