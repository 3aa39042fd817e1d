"""Files in parts, by the rules of RFC 9110."""

from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import given, settings
from hypothesis import strategies as st

from oasst.core.http import file_responses
from oasst.core.http.file_responses import RangeNotSatisfiable, file_response, parse_range

CONTENT = bytes(range(256)) * 4
ETAG = '"abc"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def ask(path: Path, method: str = "GET", **headers: str) -> Any:
    request: HttpRequest = RequestFactory(headers=headers).generic(method, "/")
    file = path.open("rb")
    response: Any = file_response(request, file, etag=ETAG, content_type="text/plain", filename="file")
    response.body = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    assert file.closed
    assert response["ETag"] == ETAG and response["Accept-Ranges"] == "bytes"
    return response


class TestRanges:
    @settings(deadline=None)
    @given(st.integers(0, 40), st.integers(0, 50), st.one_of(st.none(), st.integers(0, 50)))
    def test_from_and_to(self, size: int, first: int, last: int | None) -> None:
        header = f"bytes={first}-{'' if last is None else last}"
        content = bytes(range(size))
        if last is not None and last < first:
            assert parse_range(header, size) is None
        elif first >= size:
            with pytest.raises(RangeNotSatisfiable):
                parse_range(header, size)
        else:
            found = parse_range(header, size)
            assert found is not None
            assert content[found.start : found.stop] == content[first : None if last is None else last + 1]

    @settings(deadline=None)
    @given(st.integers(0, 40), st.integers(0, 50))
    def test_the_end(self, size: int, suffix: int) -> None:
        header, content = f"bytes=-{suffix}", bytes(range(size))
        if not size or not suffix:
            with pytest.raises(RangeNotSatisfiable):
                parse_range(header, size)
        else:
            found = parse_range(header, size)
            assert found is not None and content[found.start : found.stop] == content[-suffix:]

    @settings(deadline=None)
    @given(st.text())
    def test_anything_else_is_the_whole_file(self, header: str) -> None:
        try:
            found = parse_range(header, 10)
        except RangeNotSatisfiable:
            return
        assert found is None or 0 <= found.start < found.stop <= 10


# The end of a request closes the connection that an earlier test may have left in this thread.
@pytest.mark.django_db
class TestResponses:
    @pytest.mark.parametrize(
        "header",
        ["", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=0-1,3-4", "bytes=5-2", "bytes=" + "9" * 5000],
    )
    def test_what_is_not_understood_is_ignored(self, path: Path, header: str) -> None:
        answer = ask(path, Range=header)
        assert (answer.status_code, answer.body) == (200, CONTENT)
        assert "Content-Range" not in answer

    def test_the_whole_file(self, path: Path) -> None:
        answer = ask(path)
        assert (answer.status_code, answer.body, answer["Content-Length"]) == (200, CONTENT, "1024")
        assert answer["Content-Disposition"] == 'attachment; filename="file"'

    def test_a_part(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_responses, "CHUNK_BYTES", 7)
        answer = ask(path, Range="bytes=10-99")
        assert (answer.status_code, answer.body) == (206, CONTENT[10:100])
        assert (answer["Content-Range"], answer["Content-Length"]) == ("bytes 10-99/1024", "90")

    def test_beyond_the_end(self, path: Path) -> None:
        answer = ask(path, Range="bytes=1024-")
        assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */1024")

    def test_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        assert (ask(tmp_path / "empty").status_code, ask(tmp_path / "empty").body) == (200, b"")
        assert ask(tmp_path / "empty", Range="bytes=0-").status_code == 416

    def test_head_has_no_body(self, path: Path) -> None:
        answer = ask(path, "HEAD", Range="bytes=0-9")
        assert (answer.status_code, answer.body, answer["Content-Length"]) == (200, b"", "1024")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"If-None-Match": ETAG}, 304),
            ({"If-None-Match": f"W/{ETAG}"}, 304),
            ({"If-None-Match": '"other"'}, 206),
            ({"If-Match": '"other"'}, 412),
            ({"If-Match": ETAG}, 206),
            ({"If-Range": ETAG}, 206),
            ({"If-Range": '"other"'}, 200),
            ({"If-Range": f"W/{ETAG}"}, 200),  # a part needs a strong one
            ({"If-Range": "Sun, 29 Nov 2026 22:00:00 GMT"}, 200),
        ],
    )
    def test_conditions(self, path: Path, headers: dict[str, str], status: int) -> None:
        assert ask(path, Range="bytes=0-9", **headers).status_code == status

    def test_a_file_that_became_shorter_breaks_the_answer(self, path: Path) -> None:
        file = path.open("rb")
        response: Any = file_response(RequestFactory().get("/"), file, etag=ETAG, content_type="x", filename="file")
        path.write_bytes(b"short")
        with pytest.raises(OSError, match="became shorter"):
            b"".join(response.streaming_content)
        response.close()
