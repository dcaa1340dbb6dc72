package tracing

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"mdpgateway/internal/gateway"
)

// The words of httpapi for what has no label of its own, which OpenTelemetry has
// other words for.
const (
	unmatched   = "unmatched"
	otherMethod = "other"
)

// Answered makes the spans of a request. It does not block: what the collector does
// not take in time is dropped.
func (t *Tracer) Answered(a gateway.Answered) {
	ctx, ok := within(a.Trace)
	if !ok {
		return
	}
	ctx, span := t.tracer.Start(ctx, name(&a), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(a.Start))
	if span.IsRecording() {
		span.SetAttributes(about(&a)...)
		if a.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, string(a.Kind))
		}
		t.call(ctx, &a)
	}
	span.End(trace.WithTimestamp(a.End))
}

// Ran makes the spans of a job that is over: they go on in the trace of the request that submitted it. It does not
// block.
func (t *Tracer) Ran(r gateway.Ran) {
	ctx, ok := within(r.Trace)
	if !ok {
		return
	}
	ctx, span := t.tracer.Start(ctx, "job", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(r.Created))
	if span.IsRecording() {
		span.SetAttributes(text("mdp.job", r.Job), text("mdp.request_id", r.RequestID), text("mdp.service", r.Service))
		if r.Principal != "" {
			span.SetAttributes(text("mdp.principal", r.Principal))
		}
		if r.Kind != "" {
			span.SetAttributes(attribute.String("error.type", string(r.Kind)))
			span.SetStatus(codes.Error, string(r.Kind))
		}
		if r.Started.IsZero() {
			t.part(ctx, "queue", trace.SpanKindInternal, r.Created, r.Ended, r.Service, r.Kind)
		} else {
			t.part(ctx, "queue", trace.SpanKindInternal, r.Created, r.Started, r.Service, "")
			t.part(ctx, "broker", trace.SpanKindClient, r.Started, r.Ended, r.Service, r.Kind)
		}
	}
	span.End(trace.WithTimestamp(r.Ended))
}

// call makes the spans of a request's call, if it came to one. Its times are
// reckoned back from its end.
func (t *Tracer) call(ctx context.Context, a *gateway.Answered) {
	if a.Returned.IsZero() {
		return
	}
	sent := a.Returned.Add(-a.Timing.Broker)
	queued := sent.Add(-a.Timing.Queue)
	atBroker := a.Timing.Broker > 0
	failure := func(here bool) gateway.Kind {
		if here {
			return a.CallKind
		}
		return ""
	}
	if a.Timing.Queue > 0 {
		t.part(ctx, "queue", trace.SpanKindInternal, queued, sent, a.Service, failure(!atBroker))
	}
	if atBroker {
		t.part(ctx, "broker", trace.SpanKindClient, sent, a.Returned, a.Service, failure(true))
	}
}

func (t *Tracer) part(ctx context.Context, name string, kind trace.SpanKind, from, to time.Time, service string, failure gateway.Kind) {
	_, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithTimestamp(from), trace.WithAttributes(text("mdp.service", service)))
	if failure != "" {
		span.SetAttributes(attribute.String("error.type", string(failure)))
		span.SetStatus(codes.Error, string(failure))
	}
	span.End(trace.WithTimestamp(to))
}

// within returns a context in which the next span is part of a trace: below the
// caller's span, or as the first.
func within(t gateway.Trace) (ctx context.Context, ok bool) {
	ctx = context.Background()
	id, err := trace.TraceIDFromHex(t.ID)
	if err != nil {
		return nil, false
	}
	if t.Parent == "" {
		return context.WithValue(ctx, traceKey{}, id), true
	}
	parent, err := trace.SpanIDFromHex(t.Parent)
	if err != nil {
		return nil, false
	}
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: id, SpanID: parent, TraceFlags: trace.TraceFlags(0).WithSampled(t.Sampled), Remote: true,
	})), true
}

// name is the request's, as OpenTelemetry's conventions have it: of words that are
// few, since names are what spans are grouped by.
func name(a *gateway.Answered) string {
	method := a.Method
	if method == otherMethod {
		method = "HTTP"
	}
	if a.Route == unmatched {
		return method
	}
	return method + " " + a.Route
}

// about tells of a request in the words of OpenTelemetry's conventions, and in
// those of the log where there are none.
func about(a *gateway.Answered) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 14)
	all = append(all,
		attribute.String("url.scheme", "http"),
		text("url.path", a.Path),
		attribute.Int("http.response.status_code", a.Status),
		attribute.Int64("http.request.body.size", a.In),
		attribute.Int64("http.response.body.size", a.Out),
		text("mdp.request_id", a.RequestID))
	if a.Method == otherMethod {
		all = append(all, attribute.String("http.request.method", "_OTHER"))
	} else {
		all = append(all, attribute.String("http.request.method", a.Method))
	}
	if a.Route != unmatched {
		all = append(all, attribute.String("http.route", a.Route))
	}
	if peer, err := netip.ParseAddrPort(a.Peer); err == nil {
		all = append(all, attribute.String("network.peer.address", peer.Addr().String()), attribute.Int("network.peer.port", int(peer.Port())))
	}
	if a.Kind != "" {
		all = append(all, attribute.String("error.type", string(a.Kind)))
	}
	if a.Service != "" {
		all = append(all, text("mdp.service", a.Service))
	}
	if a.Principal != "" {
		all = append(all, text("mdp.principal", a.Principal))
	}
	return all
}

// text is an attribute of what others wrote. OTLP can't carry what is not UTF-8: one
// such attribute would lose its whole batch.
func text(key, value string) attribute.KeyValue {
	return attribute.String(key, strings.ToValidUTF8(value, "\uFFFD"))
}
