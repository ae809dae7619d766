"""Opens a new connection: resolves the host, checks and briefly caches its addresses, then TCP and TLS."""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import aiohappyeyeballs

from router.core.addresses import is_forbidden_address
from router.upstream.connection import Connection
from router.upstream.failures import not_connected, reason

_DNS_CACHE_S = 10.0  # so that many sockets opened at once cost one lookup
_MAX_CACHED_HOSTS = 256
_NEXT_ADDRESS_AFTER_S = 0.25  # Connection Attempt Delay of RFC 8305: a silent address gets the next one as a rival


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a socket leads: host, port, and whether TLS is spoken on it."""

    host: str
    port: int
    tls: bool


@dataclass(slots=True)
class _ResolvedHost:
    """The cached addresses of a host. Under the lock one caller looks them up while others wait for the result."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    addresses: Sequence[aiohappyeyeballs.AddrInfoType] = ()
    looked_up_at: float = -math.inf


class Dialer:
    """Opens connections. TLS certificates are verified against the system's certificate authorities."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()
        self._hosts: dict[tuple[str, int], _ResolvedHost] = {}

    async def dial(self, origin: Origin, lost: Callable[[Connection], None], within_s: float) -> Connection:
        """A new connection, made within `within_s` seconds in all; raises `NotSent` otherwise.

        `lost` is called once, when the connection's socket has gone.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._connected(origin, lost)
        except OSError as error:
            raise not_connected(reason(error)) from None

    async def _connected(self, origin: Origin, lost: Callable[[Connection], None]) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._addresses(origin.host, origin.port)
        raw = await aiohappyeyeballs.start_connection(
            addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S, interleave=1, loop=loop
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
        if len(self._hosts) >= _MAX_CACHED_HOSTS:
            self._hosts.clear()
        resolved = self._hosts.setdefault((host, port), _ResolvedHost())
        async with resolved.lock:
            if loop.time() - resolved.looked_up_at > _DNS_CACHE_S:
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                # The registry's check saw only the name, and DNS may point it anywhere later (DNS rebinding).
                if any(is_forbidden_address(str(address[0])) for *_, address in found):
                    raise not_connected("its name leads to a metadata service or an address that no provider has")
                resolved.addresses, resolved.looked_up_at = found, loop.time()
            return resolved.addresses
