"""Changes of files: of any bytes, and of JSON, NumPy headers and chunks of PNG with their structure kept."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

Change = Callable[[Random, bytes], bytes]

HUGE = (2**31, 2**32, 2**53 + 1, 2**62, 2**63, 2**64, 10**30, 10**400, -1, -(2**63), 0)
ODD_FLOATS = (float("nan"), float("inf"), -float("inf"), 1e308, -1e308, 5e-324, 0.1, -0.0)
ODD_TEXTS = ("", "\x00", "x" * 5000, "\x1b[31m", "\u202e", "../../escaped", "=1+1", "nan", "\ud800", "'", '"', "\n")


def flip_bits(draw: Random, data: bytes) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(data or b"\x00")
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        place = draw.randrange(8 * len(changed))
        changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def set_bytes(draw: Random, data: bytes) -> bytes:
    """Overwrite a few bytes by extreme or random ones."""
    changed = bytearray(data or b"\x00")
    for _ in range(draw.randint(1, 4)):
        at, count = draw.randrange(len(changed)), draw.choice((1, 2, 4, 8))
        changed[at : at + count] = draw.choice((b"\x00", b"\xff", b"\x7f", b"\x80", draw.randbytes(1))) * count
    return bytes(changed)


def truncate(draw: Random, data: bytes) -> bytes:
    """Cut the end off."""
    return data[: draw.randrange(len(data) + 1)]


def insert(draw: Random, data: bytes) -> bytes:
    """Put random bytes somewhere."""
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.randbytes(draw.choice((1, 2, 7, 100))) + data[at:]


def remove(draw: Random, data: bytes) -> bytes:
    """Take a piece out."""
    at = draw.randrange(len(data) + 1)
    return data[:at] + data[at + draw.choice((1, 2, 8, 100)) :]


def repeat(draw: Random, data: bytes) -> bytes:
    """Write a piece twice or a hundred times."""
    at = draw.randrange(len(data) + 1)
    piece = data[at : at + draw.choice((1, 4, 16, 200))]
    return data[:at] + piece * draw.choice((2, 3, 100)) + data[at:]


def append(draw: Random, data: bytes) -> bytes:
    """Put bytes at the end."""
    return data + draw.choice((b"\x00", data[:50], draw.randbytes(20)))


BYTES: tuple[Change, ...] = (flip_bits, set_bytes, truncate, insert, remove, repeat, append)


def any_bytes(draw: Random, data: bytes) -> bytes:
    """Change bytes without knowing what they mean, once or twice."""
    for _ in range(draw.choice((1, 1, 2))):
        data = draw.choice(BYTES)(draw, data)
    return data


# --- JSON -----------------------------------------------------------------------------------------------------------------


def odd_value(draw: Random, depth: int = 0) -> Any:
    """A value of JSON that nobody expects."""
    kind = draw.randrange(9 if depth < 3 else 5)
    if kind == 0:
        return draw.choice(HUGE)
    if kind == 1:
        return draw.choice(ODD_FLOATS)
    if kind == 2:
        return draw.choice(ODD_TEXTS)
    if kind == 3:
        return draw.choice((None, True, False, 0, 1, -1, 2, 3, 7, 0.5))
    if kind == 4:
        return draw.choice(([], {}, [[]], {"": None}))
    if kind == 5:
        return [odd_value(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 6:
        return {draw.choice(ODD_TEXTS): odd_value(draw, depth + 1) for _ in range(draw.randrange(3))}
    if kind == 7:
        return nested(draw.choice((5, 90, 900)))
    return [odd_value(draw, 3)] * draw.choice((1, 2, 1000))


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def change_json(draw: Random, value: Any) -> Any:
    """Change a few places of a document: other values, missing, new and repeated entries."""
    value = json.loads(dumped(value))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = [(holder, key) for holder, key in _places(value)]
        if not places:
            return odd_value(draw)
        holder, key = draw.choice(places)
        act = draw.randrange(7)
        if act == 0:
            del holder[key]
        elif act == 1 and isinstance(holder, dict):
            holder[draw.choice((*ODD_TEXTS, "features", "system", str(key) + "s"))] = odd_value(draw)
        elif act == 2 and isinstance(holder, list):
            holder.extend([holder[key]] * draw.choice((1, 3, 50)))
        elif act == 3:
            other, name = draw.choice(places)
            if _still_there(other, name):
                holder[key] = json.loads(dumped(other[name]))
        elif act == 4 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
            holder[key] = draw.choice(
                (holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 1000, str(holder[key]))
            )
        else:
            holder[key] = odd_value(draw)
    return value


def dumped(value: Any) -> str:
    """A document as text; brackets where it is nested too deeply for Python to write it."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "[" * 200 + "]" * 200


def json_text(draw: Random, value: Any) -> str:
    """A document as text, at times with an entry twice."""
    text = dumped(value)
    if draw.random() < 0.1 and text.startswith("{") and len(text) > 2:
        key = draw.choice(list(value)) if value else "x"
        text = f"{{{dumped(key)}: {dumped(odd_value(draw))}, {text[1:]}"
    return text


def _places(value: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [value]
    while waiting:
        holder = waiting.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            waiting.append(holder[key])
    return found


def _still_there(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


# --- NumPy ----------------------------------------------------------------------------------------------------------------


def npy_header(draw: Random, data: bytes) -> bytes:
    """Replace the header of an .npy file by one with another shape, type or text."""
    length = struct.unpack("<H", data[8:10])[0] if len(data) > 10 else 0
    body = data[10 + length :]
    sizes = (0, 1, 2, 3, 64, 10**6, 10**9, 2**31, 2**63, 10**30, -1, -5)
    shape = tuple(draw.choice(sizes) for _ in range(draw.randrange(5)))
    types = (
        "<f8",
        "<f4",
        "|u1",
        "<i8",
        ">i4",
        "|b1",
        "<U5",
        "<U1000000000",
        "|S3",
        "|O",
        "<c16",
        "<M8[s]",
        "|V8",
        "x",
        "f2",
    )
    descr: Any = draw.choice((*types, [("a", "<f8"), ("b", "<U3")], 3, None))
    header = {
        "descr": descr,
        "fortran_order": draw.choice((False, True, 1, None)),
        "shape": draw.choice((shape, shape, list(shape), 3)),
    }
    if draw.random() < 0.2:
        del header[draw.choice(list(header))]
    text = draw.choice(
        (repr(header), repr(header), repr(header), "{" * draw.choice((3, 200, 5000)), "[" * 60, "1L", "0777", "a.b()")
    )
    raw = text.encode() + b"\n"
    version = draw.choice((b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"))
    size = struct.pack("<H", min(len(raw), 65535)) if version == b"\x01\x00" else struct.pack("<I", len(raw))
    return b"\x93NUMPY" + version + size + raw + body


# --- PNG ------------------------------------------------------------------------------------------------------------------


def png_chunks(draw: Random, data: bytes) -> bytes:
    """Repeat, drop, swap or change chunks of a PNG file, with right checksums."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    act = draw.randrange(6)
    i = draw.randrange(len(chunks)) if chunks else 0
    if act == 0 and chunks:
        chunks[i:i] = [chunks[i]] * draw.choice((1, 2, 50))
    elif act == 1 and chunks:
        del chunks[i]
    elif act == 2 and chunks:
        draw.shuffle(chunks)
    elif act == 3 and chunks:
        sizes = [draw.choice((0, 1, 8, 50_000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
        chunks[0] = (
            b"IHDR",
            struct.pack(
                ">IIBBBBB", *sizes, draw.choice((1, 8, 16)), draw.choice((0, 2, 3, 4, 6, 9)), 0, 0, draw.choice((0, 1))
            ),
        )
    elif act == 4:
        name = draw.choice((b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"IDAT"))
        chunks.insert(min(1, len(chunks)), (name, b"a\x00\x00" + zlib.compress(bytes(draw.choice((10, 10**7))))))
    elif chunks:
        chunks[i] = (chunks[i][0], any_bytes(draw, chunks[i][1]))
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return data[:8] + b"".join(parts)
