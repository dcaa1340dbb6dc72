// Package flowgraph writes flowgraph vars: the JSON object that a caller gives
// becomes the frame that a worker reads, as a Python literal or as JSON.
//
// It is pure: bytes in, bytes out. It neither knows a service's schema (that is
// package catalogue) nor decides whether a frame is sent (package dispatch).
package flowgraph
