// Package mdpx is MDPX/1 on the wire: what this gateway speaks with its own broker, in
// place of a dialect of MDP. A connection carries any number of requests at once, each
// with an id; a request can be canceled, and the broker says of each one that gets no
// reply whether a worker had it.
//
// The package is pure: bytes in, bytes out, as the package mdp, whose rules for names of
// services and whose errors it shares. docs/mdpx.md says what each side must do.
package mdpx
