"""Frames, cut from what is read in pieces of any size."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from twisted_flow.wire.frames import FrameReader, frame

SIZES = st.sampled_from([0, 1, 7, 8, 9, 4096, 70_000, 140_000, 300_000])
FRAMES = st.lists(
    st.tuples(st.integers(1, 255), st.integers(0, 2**64 - 1), SIZES, st.lists(SIZES, max_size=3)), max_size=6
)


def filled(size: int, seed: int) -> bytes:
    return bytes((seed + n) % 251 for n in range(min(size, 16))) + bytes(max(size - 16, 0))


@settings(max_examples=40)
@given(FRAMES, st.lists(st.sampled_from([1, 3, 16, 1000, 100_000, 10**6]), min_size=1))
def test_any_pieces(sizes: list[tuple[int, int, int, list[int]]], pieces: list[int]) -> None:
    """What was written comes out, in order, however it is cut up; arrays of large frames are not copied."""
    sent = [(kind, call, filled(body, 1), [filled(each, 2) for each in arrays]) for kind, call, body, arrays in sizes]
    stream = b"".join(b"".join(frame(*each)) for each in sent)
    assert len(stream) % 8 == 0
    kept: list[tuple[int, int, bytes, list[memoryview]]] = []
    reader = FrameReader(lambda kind, call, body, arrays: kept.append((kind, call, bytes(body), arrays)))
    at, turn = 0, 0
    while at < len(stream):
        room = reader.room()
        size = min(len(room), len(stream) - at, pieces[turn % len(pieces)] if turn < 200 else 10**6)
        assert size
        room[:size] = stream[at : at + size]
        reader.filled(size)
        at, turn = at + size, turn + 1
    assert [(kind, call, body, [bytes(each) for each in arrays]) for kind, call, body, arrays in kept] == sent


def test_small_arrays_let_go_of_the_frame() -> None:
    """Who keeps a small array does not keep the large one beside it."""
    kept: list[list[memoryview]] = []
    reader = FrameReader(lambda kind, call, body, arrays: kept.append(arrays))
    reader.feed(b"".join(frame(1, 1, b"", [bytes(5000), bytes(1_000_000)])))
    small, large = kept[0]
    assert len(memoryview(small.obj)) == 5000  # type: ignore[arg-type]
    assert memoryview(large.obj).nbytes > 1_000_000  # type: ignore[arg-type]
