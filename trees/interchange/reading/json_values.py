"""JSON as files have it: a value from bytes, lines, and the elements of one large array, without holding the file."""

import codecs
import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from oasst.core.errors import Invalid

LONGEST = 8_000_000  # bytes of a line or an element; parsing holds it several times in memory
_SPACE = re.compile(r"[ \t\r\n]*")
_STEP = 2**16
_LONGEST_TOKEN = 16  # characters of anything but strings and numbers


def parse_json(line: bytes) -> Any:
    """Return the value. Raise Invalid for what no program can read, and for numbers that cannot be stored."""
    try:
        return json.loads(line.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise not_utf8(line, error) from error
    except json.JSONDecodeError as error:
        raise Invalid(f"no JSON: {error.msg} (character {error.pos + 1})", code="no_json") from error
    except RecursionError as error:
        raise Invalid("nested too deeply", code="no_json") from error
    except ValueError as error:  # Python limits numbers to 4,300 digits
        raise Invalid("a number has too many digits", code="no_json") from error


def not_utf8(data: bytes, error: UnicodeDecodeError) -> Invalid:
    hint = " The file looks like UTF-16; save it as UTF-8." if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
    reason = f"cannot be read as UTF-8: byte {error.start + 1} is {data[error.start]:#04x}.{hint}"
    return Invalid(reason, code="unreadable")


def _refuse_constant(name: str) -> NoReturn:
    raise Invalid(f"{name} is no number that can be stored", code="bad_fact")


def read_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, line) for each line that is not blank; a line that is too long is cut just above LONGEST."""
    number = 0
    while line := file.readline(LONGEST + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(BOM_UTF8)
        if line.strip():
            yield number, line
        while len(line) > LONGEST and not line.endswith(b"\n"):  # the rest of a long line is no line of its own
            line = file.readline(LONGEST + 1)


def read_elements(file: IO[bytes]) -> Iterator[tuple[int, int, Any]]:
    """Yield (line number, size in characters, value) for each element of the array that the file is.

    Raise Invalid with the line in its `details` at the first character that is wrong; nothing can be read after it.
    """
    text = _Text(file)
    text.skip("[")
    if text.next_character() == "]":
        text.skip("]")
    else:
        while True:
            text.next_character()
            line = text.line
            size, value = text.element()
            yield line, size, value
            if text.next_character() != ",":
                break
            text.skip(",")
        text.skip("]")
    if rest := text.next_character():
        raise text.invalid(f"there is {rest!r} after the end of the array")


class _Text:
    """The text of a file, of which only the present part is in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scanner = json.JSONDecoder(parse_constant=_refuse_constant)
        self._text = ""
        self._at = 0
        self._is_complete = False
        self.line = 1

    def next_character(self) -> str:
        """Pass white space and return the character after it, or "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._pass(match.end() if match else self._at)
            if self._at < len(self._text) or self._is_complete:
                return self._text[self._at : self._at + 1]
            self._read_more()

    def skip(self, character: str) -> None:
        found = self.next_character()
        if found != character:
            reason = f"{found!r} stands where {character!r} is expected" if found else "the array does not end"
            raise self.invalid(reason)
        self._pass(self._at + 1)

    def element(self) -> tuple[int, Any]:
        """Return the size and the value of the element that begins here."""
        self.next_character()
        while True:
            try:
                value, end = self._scanner.raw_decode(self._text, self._at)
                # A number may go on in the next part.
                if end < len(self._text) or self._is_complete:
                    size = end - self._at
                    if size > LONGEST:
                        raise self.invalid(f"longer than {LONGEST / 1e6:.0f} MB", "line_too_long")
                    self._pass(end)
                    return size, value
            except json.JSONDecodeError as error:
                if self._is_complete or self._is_wrong_whatever_follows(error):
                    raise self.invalid(f"no JSON: {error.msg}") from error
            except RecursionError as error:
                raise self.invalid("nested too deeply") from error
            except Invalid as error:
                raise self.invalid(error.message, error.code) from error
            except ValueError as error:
                raise self.invalid("a number has too many digits") from error
            if len(self._text) - self._at > LONGEST:
                raise self.invalid(f"longer than {LONGEST / 1e6:.0f} MB, or no JSON", "line_too_long")
            # Doubling keeps the time for an element linear in its length.
            self._read_more(max(_STEP, len(self._text) - self._at))

    def _is_wrong_whatever_follows(self, error: json.JSONDecodeError) -> bool:
        """Return True unless the text that has been read may just be too short."""
        return error.pos < len(self._text) - _LONGEST_TOKEN and not error.msg.startswith("Unterminated string")

    def invalid(self, reason: str, code: str = "no_json") -> Invalid:
        return Invalid(reason, code=code, line=self.line)

    def _pass(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end

    def _read_more(self, size: int = _STEP) -> None:
        data = self._file.read(size)
        try:
            more = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            reason = not_utf8(data, error).message if error.object is data else "cannot be read as UTF-8"
            raise self.invalid(reason, "unreadable") from error
        self._text, self._at = self._text[self._at :] + more, 0
        self._is_complete = not data
