"""The TypeScript types generated from the published schemas fit exactly what the site sends."""

import json
from pathlib import Path
from typing import Any

import pytest

from inference import api_urls as chat
from inference.api import openai_urls as as_openai
from oasst.site import api_urls as data
from tests.clients import typescript
from tests.clients.conftest import CLASSES, Site
from tests.clients.validity import validation_errors

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
DOCUMENTS = {"data": data.document, "chat": chat.document, "as_openai": as_openai.document}
IMPORTS = "".join(f'import type {{ components as {name} }} from "./{name}";\n' for name in DOCUMENTS)
NARROWING = """
type Task = data["schemas"]["AnyTask"];
type Interaction = data["schemas"]["AnyInteraction"];
type Event = chat["schemas"]["AnyEvent"];
type Piece = as_openai["schemas"]["StreamedPiece"];

export function about(task: Task): string {
  switch (task.type) {
    case "initial_prompt":
      return task.hint ?? "";
    case "prompter_reply":
    case "assistant_reply":
      return task.conversation.messages[0]!.text;
    case "rank_prompter_replies":
    case "rank_assistant_replies":
      return task.reply_messages[0]!.text;
    case "label_initial_prompt":
      return task.prompt;
    case "label_prompter_reply":
    case "label_assistant_reply":
      return task.reply;
  }
}

export function answer(task: Task, user: Interaction["user"], message_id: string): Interaction {
  switch (task.type) {
    case "rank_prompter_replies":
    case "rank_assistant_replies":
      return { type: "message_ranking", user, message_id, ranking: task.replies.map((_, place) => place) };
    case "label_initial_prompt":
    case "label_prompter_reply":
    case "label_assistant_reply":
      return { type: "text_labels", user, message_id: task.message_id, text: "", labels: { spam: 0 } };
    default:
      return { type: "text_reply_to_message", user, message_id, user_message_id: "text", text: "Hello" };
  }
}

export function shown(event: Event): string {
  switch (event.event_type) {
    case "token":
      return event.text;
    case "pending":
      return `${event.queue_position} of ${event.queue_size}`;
    case "message":
      return event.message?.content ?? "";
    case "error":
      return event.error;
  }
}

export function read(piece: Piece): string {
  return "error" in piece ? piece.error.message : (piece.choices[0]?.delta.content ?? "");
}
"""
# A mistake → an expression that makes it, with a value of this type.
WRONG = {
    "a ranking read as a reply": ("Task", 'x.type === "rank_assistant_replies" && x.reply'),
    "a reply read as a ranking": ("Task", 'x.type === "assistant_reply" && x.replies'),
    "a member read before looking": ("Task", "x.conversation"),
    "no such kind": ("Task", 'x.type === "ranking"'),
    "no such label": ('data["schemas"]["TextLabels"]', "(x.labels = { bad: 1 })"),
    "an answer of another kind": ("Interaction", 'x.type === "message_rating" && x.ranking'),
    "no such event": ("Event", 'x.event_type === "done"'),
    "an event read as another": ("Event", 'x.event_type === "pending" && x.text'),
    "no such state of a message": ('chat["schemas"]["MessageRead"]', 'x.state === "done"'),
    "no such state of a tree": ('data["schemas"]["TreeState"]', 'x.state === "done"'),
    "no such end": ('as_openai["schemas"]["CompletionChoice"]', 'x.finish_reason === "tool_calls"'),
}


@pytest.fixture
def check(tmp_path: Path) -> Any:
    """check(program) returns the output of the compiler."""
    try:
        typescript.install()
    except typescript.NoNetwork as error:
        pytest.skip(f"{error} It has the compiler that this test asks.")

    def compile(program: str) -> str:
        documents = {name: document() for name, document in DOCUMENTS.items()}
        return typescript.check(tmp_path, documents, IMPORTS + program)

    return compile


def test_live_answers_have_their_own_types(check: Any, site: Site) -> None:
    program = NARROWING
    for kind, task in site.tasks().items():
        assert task["type"] == kind
        assert validation_errors(data.document(), "AnyTask", task) == []
        literal = json.dumps(task)
        program += f'export const {kind}: data["schemas"]["{CLASSES[kind]}"] = {literal};\n'
        program += f'export const any_{kind}: Extract<Task, {{ type: "{kind}" }}> = {kind};\n'
    assert check(program + mistakes()) == ""


def mistakes() -> str:
    """Return lines that the compiler must refuse, each beside one that proves that its type exists.

    The compiler reports lines that it would accept.
    """
    lines = []
    for number, (what, (kind, expression)) in enumerate(WRONG.items()):
        lines += [f"// {what}", "// @ts-expect-error", f"export const wrong_{number} = (x: {kind}) => {expression};"]
        lines.append(f"export const right_{number} = (x: {kind}) => x;")
    return "\n".join(lines)
