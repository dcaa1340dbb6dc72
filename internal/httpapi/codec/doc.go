// Package codec turns HTTP bodies into frames and frames into HTTP bodies.
//
// A request is a JSON envelope, a form (multipart/form-data) or, if it is of any
// other type, one raw frame. A reply is the JSON of its frames, a form, one raw
// frame or a stream of events. Parse decides from the headers and the query which
// of them they are, before a byte of the body is read and before anything is
// sent; Decode and WriteReply, or a Stream, do the rest:
//
//	x, err := codec.Parse(r, opt)   // 400, 406, 415: nothing was read
//	err = x.Decode(body, &call)     // 400, 422: nothing was sent
//	err = x.WriteReply(w, service, requestID, reply)
//
// The package knows net/http's types but no server: reading the body within its
// limits, deadlines and answering errors are its caller's. It does not look into
// vars either, beyond their being one JSON object; what a worker makes of them is
// package flowgraph's.
//
// Errors are *mdp.Error, and say in Faults where a request is wrong.
package codec
