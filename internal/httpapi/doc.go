// Package httpapi is the gateway as HTTP callers see it: its routes, its limits
// on what comes in, its one shape of errors, and its request log.
//
// The way of a request is routes (which middleware, in which order), then a
// handler that decodes, calls and encodes, then either the reply or fail, the one
// place where an error becomes an answer. Bodies become frames, and frames become
// bodies, in the package codec; who may be called, for how long and over which
// socket is for the Caller to say. The package knows neither ZeroMQ nor
// Prometheus: it is given a Caller, an Observer and a handler for /metrics.
package httpapi
