"""A line between two processes: MessagePack, with the length before it."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

_LENGTH = struct.Struct(">Q")
# Seconds after which a line to a host that is gone without a word is closed by the system.
_SILENT = 60


class Line:
    """A connection to another process, sent to by one thread at a time."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.name, self._connection, self._sending = name, connection, threading.Lock()

    def send(self, kind: str, value: Any) -> None:
        """Say ``value``: dicts and lists of numbers, texts, None and arrays."""
        message = packed({"kind": kind, "value": value})
        with self._sending:
            self._connection.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, longest: int | None = None) -> tuple[str, Any]:
        """The next message, of ``longest`` bytes at most.

        Raises:
          EOFError: the other side is gone, or it speaks something else.
        """
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        if longest is not None and length > longest:
            raise EOFError
        message = unpacked(self._read(length))
        if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
            raise EOFError
        return message["kind"], message.get("value")

    def _read(self, length: int) -> bytes:
        found = bytearray()
        try:
            while len(found) < length:
                part = self._connection.recv(min(length - len(found), 1 << 20))
                if not part:
                    raise EOFError
                found += part
        except OSError as error:
            raise EOFError from error
        return bytes(found)

    def stay(self) -> None:
        """No more limits of time, but notice a host that goes without a word."""
        self._connection.settimeout(None)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", _SILENT // 4), ("TCP_KEEPINTVL", _SILENT // 4)):
            if hasattr(socket, option):
                self._connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def packed(value: Any) -> bytes:
    """``value`` as MessagePack."""
    # Only runs of several processes need it.
    from flax import serialization

    return serialization.msgpack_serialize(value)


def unpacked(message: bytes) -> Any:
    """What :func:`packed` was given.

    Raises:
      EOFError: no MessagePack, or half of it.
    """
    from flax import serialization

    try:
        return serialization.msgpack_restore(message)
    except Exception as error:  # A stranger's bytes fail in ways of their own.
        raise EOFError from error
