"""Responses that may not have a body: those to HEAD, and those with status 204 or 304."""

from typing import Any

BODILESS_STATUSES = (204, 304)


def drop_bodies(application: Any) -> Any:
    """Wrap an ASGI application so that bodies are dropped where HTTP allows none.

    Daphne would send the second chunk of a stream, and the client would read it as the next response. The application
    that produces the stream is canceled, as if its client had disconnected.
    """

    async def without_bodies(scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_bodiless = scope.get("method") == "HEAD"

        async def send_bodiless(message: dict[str, Any]) -> None:
            nonlocal is_bodiless
            if message["type"] == "http.response.start" and message["status"] in BODILESS_STATUSES:
                is_bodiless = True
                # Django counts the body that is dropped here.
                headers = [item for item in message.get("headers", ()) if item[0].lower() != b"content-length"]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and is_bodiless:
                message = {"type": "http.response.body"}
            await send(message)

        await application(scope, receive, send_bodiless)

    return without_bodies
