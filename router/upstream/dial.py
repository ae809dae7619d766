"""How a new connection is made: the host's addresses, checked and remembered for a moment, then TCP and TLS."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohappyeyeballs

from router.registry.urls import is_forbidden_address
from router.upstream.connection import Connection
from router.upstream.failures import not_connected, reason

_FRESH_S = 10.0  # a name is not looked up again for each of many sockets that are opened at once
_MAX_NAMES = 256
_SECOND_ADDRESS_AFTER_S = 0.25  # RFC 8305: when one address is silent the next is tried beside it


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a socket leads."""

    host: str
    port: int
    tls: bool


@dataclass(slots=True)
class _Name:
    """The addresses of a name, looked up by one caller while others who need them wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    addresses: Sequence[aiohappyeyeballs.AddrInfoType] = ()
    looked_up_at: float = -math.inf


class Dialer:
    """Opens connections; TLS hosts have to prove their name to the system's certificate authorities."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()
        self._names: dict[tuple[str, int], _Name] = {}

    async def dial(self, origin: Origin, lost: Callable[[Connection], None], within_s: float) -> Connection:
        """A new connection; raises `NotSent` when none was made in time."""
        try:
            async with asyncio.timeout(within_s):
                return await self._connected(origin, lost)
        except OSError as error:
            raise not_connected(reason(error)) from None

    async def _connected(self, origin: Origin, lost: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(origin.host, origin.port)
        raw = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_SECOND_ADDRESS_AFTER_S, interleave=1, loop=loop
        )
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(lost),
                sock=raw,
                ssl=self._tls if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            raw.close()
            raise
        return connection

    async def _addresses(self, host: str, port: int) -> Sequence[aiohappyeyeballs.AddrInfoType]:
        loop = asyncio.get_running_loop()
        if len(self._names) >= _MAX_NAMES:
            self._names.clear()
        name = self._names.setdefault((host, port), _Name())
        async with name.lock:
            if loop.time() - name.looked_up_at > _FRESH_S:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                # A name can be made to point anywhere, after the registry was checked too.
                if any(is_forbidden_address(str(address[0])) for *_, address in found):
                    raise not_connected("its name leads to a metadata service or an address that no provider has")
                name.addresses, name.looked_up_at = found, loop.time()
            return name.addresses
