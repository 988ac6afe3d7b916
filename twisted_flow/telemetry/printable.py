"""What the log is told of texts and exceptions that come from elsewhere, and what is kept of them afterwards."""

from __future__ import annotations

__all__ = ["forget_frames", "one_line", "printable"]


def printable(text: str, most: int = 200) -> str:
    """*text* for the log: cut at *most* characters, with what a terminal or a reader of lines would act on escaped."""
    if len(text) > most:
        text = f"{text[:most]}… ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def one_line(error: BaseException | None, most: int = 1000) -> str:
    """*error* and what was noted of it, in one line that can be logged, of *most* characters and its class."""
    notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    try:
        text = str(error)
    except Exception:  # a user's class may do anything
        text = "(it cannot be told)"
    return f"{type(error).__name__}{printable(notes, most)}: {printable(' '.join(text.split()), most)}"


def forget_frames(error: BaseException | None) -> None:
    """Let go of the frames that *error*, and what led to it, came through: they hold all that was at hand, such as the
    body of a request, for as long as somebody holds the error, or until the collector comes by.
    """
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        left += [each.__context__, each.__cause__]
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions
