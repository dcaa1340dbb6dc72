package tracing

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// traceKey is that of the id of a trace that begins here, in a context.
type traceKey struct{}

// ids gives spans their ids. A trace that begins here has the id that is in the log
// already, where the SDK would make up another.
type ids struct{}

// NewIDs is sdk.IDGenerator, for the first span of a trace.
func (g ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(traceKey{}).(trace.TraceID)
	return id, g.NewSpanID(ctx, id)
}

// NewSpanID is sdk.IDGenerator, for every other span.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() { // as 0 is not
		binary.LittleEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}
