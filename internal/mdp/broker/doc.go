// Package broker is a Majordomo broker: one ROUTER that serves clients and
// workers of mdp/0.1, mdp/0.2, loudify and majortomo at once, any client with any
// worker, each answered in its own dialect. At the same ROUTER it serves gateways that
// speak MDPX/1 (docs/mdpx.md): their requests are queued and given as all others.
//
// What it decides is in state, which is pure: messages and the time go in,
// messages come out; it is tested on virtual time from transcripts in testdata.
// Broker is the thin shell that owns the socket. There are no files, no cluster
// and no second chance: a broker that restarts has forgotten its queues, and its
// workers register again.
package broker
