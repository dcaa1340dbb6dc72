// Package mdp is the Majordomo Protocol on the wire: its dialects, and the frames of
// requests, replies and workers' commands.
//
// It is pure: bytes in, bytes out. It opens no socket, reads no clock, starts no
// goroutine and imports only the standard library. Sockets live in the packages
// below it: client (a pool of DEALERs), broker and worker.
//
// Sources: RFC 7/MDP (version 0.1), RFC 18/MDP (version 0.2) and RFC 8/MMI of
// rfc.zeromq.org, and the layouts that brokers in the wild really speak.
package mdp
