"""Of an answer that is a head alone (to HEAD, and with a status that has no body) nothing else is sent."""

from typing import Any

STATUSES_WITHOUT_A_BODY = (204, 304)


def heads_alone(application: Any) -> Any:
    """The ASGI application without the bodies that nobody may see.

    Daphne would send what follows the first piece of one, and a kept connection take it for the next answer. Whoever
    makes a stream hears of its end as of a reader who left.
    """

    async def without_bodies(scope: dict[str, Any], receive: Any, send: Any) -> None:
        is_head_alone = scope.get("method") == "HEAD"

        async def send_head_alone(message: dict[str, Any]) -> None:
            nonlocal is_head_alone
            if message["type"] == "http.response.start" and message["status"] in STATUSES_WITHOUT_A_BODY:
                is_head_alone = True
                # Django counts the body that is not there.
                headers = [one for one in message.get("headers", ()) if one[0].lower() != b"content-length"]
                message = {**message, "headers": headers}
            elif message["type"] == "http.response.body" and is_head_alone:
                message = {"type": "http.response.body"}
            await send(message)

        await application(scope, receive, send_head_alone)

    return without_bodies
