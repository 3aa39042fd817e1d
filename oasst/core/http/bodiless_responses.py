"""Responses without a body: those to HEAD, and those with a status that has none."""

from typing import Any

STATUSES_WITHOUT_A_BODY = (204, 304)


def drop_bodies(application: Any) -> Any:
    """The ASGI application, whose bodies are dropped where HTTP allows none.

    Daphne would send the second piece of a stream, and a client that keeps the connection would read it as the next
    response. The application that makes the stream is cancelled, as when its reader leaves.
    """

    async def without_bodies(scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_bodiless = scope.get("method") == "HEAD"

        async def send_bodiless(message: dict[str, Any]) -> None:
            nonlocal is_bodiless
            if message["type"] == "http.response.start" and message["status"] in STATUSES_WITHOUT_A_BODY:
                is_bodiless = True
                # Django counts the body that is not there.
                headers = [one for one in message.get("headers", ()) if one[0].lower() != b"content-length"]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and is_bodiless:
                message = {"type": "http.response.body"}
            await send(message)

        await application(scope, receive, send_bodiless)

    return without_bodies
