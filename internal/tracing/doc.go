// Package tracing tells an OpenTelemetry collector, over OTLP/HTTP, where the time
// of each request went: a span of the request, and in it one of its wait for a
// socket and one of the broker and worker.
//
// Spans are made when the request has been answered, of the times that were taken
// for log and metrics anyway. So nothing on the way of a call knows of tracing, and
// without a collector it costs nothing. MDP has no place for a trace's id, which is
// why no span is a worker's.
//
// It uses OpenTelemetry's SDK for spans, sampling and batches, and a client of its
// own to send them: the SDK's brings gRPC along, which is never spoken here and
// would be a third of the binary.
package tracing
