"""HTTP/1.1 towards providers: the only room that opens sockets to them."""
