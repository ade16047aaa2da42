// Package fdpass lends sealed files of a worker to processes on its host: the
// worker's [Server] sends an open file descriptor over a unix socket, and the
// [Client] reads the bytes from the page cache without a copy through the
// worker.
//
// A sealed file never changes, so a descriptor stays valid regardless of what the
// worker does later. Its bytes stay charged to the worker's quota until the client
// closes the [File] or its connection ends. Descriptors are open for reading
// only. Both ends check the user of their peer and verify its certificate, as package
// transport describes. A server lends files of those mounts only that the certificate
// of its client names.
//
// # Protocol
//
// A connection starts with the handshake of package transport, as a stream of bytes.
// Version 1 of the protocol had none: peers of different versions refuse each other's
// first packet and end the connection, and the client reads over HTTP.
//
// Messages are packets of a SOCK_SEQPACKET socket, at most 16 KiB, all
// integers little-endian:
//
//	0  magic "JFD" and the version of the protocol, one byte
//	4  kind u16: 1 open, 2 opened, 3 give back, 4 revoked, 5 used, 6 uses, 7 recalled
//	6  status u16 of opened: 0 with one descriptor, 1 not sealed, 2 refused;
//	   of open: 1 if the client processes recalled, otherwise 0
//	8  id u64, chosen by the client for each open
//	16 open: size u64, then mount, key and etag, each after its length u16
//	   opened: the error message; with status 0 the features of the server
//	   give back: nothing
//	   revoked: nothing
//	   used: number of opens u32 and bytes read u64 since the last one
//	   uses: for each of several files its id u64, the number of opens u32, 1 if
//	   the client does not use it now or 0 u32, and bytes read u64
//	   recalled: further ids, u64 each
//
// A server sends revoked when the bytes of a file are found to be wrong or cannot be
// read any more. A client sends used if the features contain "used", so that the
// server knows how often a file is used that it lent once. If they contain "uses", it
// sends uses instead, and may keep files that it does not use: it reports that, and the
// server sends recalled when it requires their space. The client then gives back those
// that it still does not use, and reports the use of the others. A server does not wait
// for either: see blockstore's recall.go. Any other packet ends the
// connection, which returns all files: so a client of an earlier version returns
// them when it receives revoked.
package fdpass
