// Package resp is a small RESP2 client: pipelines over a bounded pool of
// connections. It works with Redis 6 and later and with Valkey.
//
// The life of a Do:
//
//  1. take: a slot of the pool, the most recently used idle connection first;
//     if all are busy, the caller queues until its deadline.
//  2. dial: only if the slot has no connection yet (TLS, AUTH, SELECT).
//  3. exchange: all commands are written, then all replies are read.
//  4. put: the slot goes to the longest waiting caller, or becomes idle.
//
// client.go has Do and what leads there, pool.go the slots, conn.go one connection, proto.go
// the protocol. sentinel.go finds the master of a replicated server, cluster.go the node
// of a key. secret.go has passwords that are changed meanwhile,
// run.go sees to it that all connections lead to one server. expect.go has the quick way of the next paragraph.
//
// What most exchanges take has functions of its own, which are short: ready in place of
// take, takeShort in place of a readReply for each. Expect and ExpectWords do all of it for
// questions that are asked at every hit, and leave whatever is not as expected to Do.
//
// A connection comes back to the pool only after the last byte of the last
// reply, and with nothing left to read. After anything else (an error, a
// timeout, a partial reply, a byte too many) it is closed: a reply that stays
// behind would be given to whoever uses the connection next.
//
// A connection that the server closed while it was idle shows that only when it
// is used. If it ends before the first byte of an answer, the pipeline is sent
// once more, on a new connection and within the same time. The server may have
// executed the first copy: what is sent here must bear being executed twice.
//
// Each command must be answered by exactly one reply and must leave the
// connection as it was. So there is no place here for SUBSCRIBE, MONITOR,
// HELLO, AUTH, SELECT, CLIENT REPLY, QUIT, or a MULTI without its EXEC in the
// same pipeline. Three of these begin a connection, see greet.
//
// The package is interpreted by Yaegi. There a method call costs five times as
// much as a function call, a select statement is not safe, and errors.As does not
// know our types: hence functions over plain structs, channels on which each side
// only sends or only receives, and sentinel errors for errors.Is.
package resp
