"""HTTP/1.1 client towards providers: the only room that opens sockets to them."""
