"""HTTP/1.1 towards providers: sockets that are dialled, used again and given up; only `router.transport` uses it."""
