package tracing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

// maxAttribute is the length of the longest attribute that comes from a caller,
// such as a path.
const maxAttribute = 1024

// Config configures a Tracer.
//
// What OpenTelemetry has variables for, the SDK reads itself: OTEL_SERVICE_NAME and
// OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, and OTEL_BSP_* for the batches.
type Config struct {
	Endpoint string        // required: the collector's URL; without a path, /v1/traces is meant
	Headers  http.Header   // of every post, such as the collector's credentials
	Version  string        // of the gateway
	Log      *zap.Logger   // default: no log
	Patience time.Duration // of Close with a collector that does not take the last spans; default 3 s
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Patience == 0 {
		c.Patience = 3 * time.Second
	}
	return c
}

// CheckEndpoint says why a URL can't be a collector's. A user's name and password
// in it would be seen wherever settings are shown, so they are refused.
func CheckEndpoint(endpoint string) error {
	_, err := parseEndpoint(endpoint)
	return err
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("the endpoint is no URL") // which it is may be a secret, and can't be redacted
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, fmt.Errorf("the endpoint is %q, want http://host:port or https://host:port, and perhaps a path", u.Redacted())
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

// A Tracer makes spans of requests and sends them in batches. Its methods may be
// called from many goroutines at once.
type Tracer struct {
	// Set once.
	cfg      Config
	uploader *uploader
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// New returns a Tracer, which sends in a goroutine of its own. That the collector
// can't be reached is no error: it may come later than the gateway.
func New(cfg Config) (*Tracer, error) {
	cfg = cfg.withDefaults()
	u, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	// The environment comes last, so that it may name the service otherwise.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "mdp-gateway"), attribute.String("service.version", cfg.Version)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	up := newUploader(u.String(), cfg.Headers, cfg.Log)
	exporter, err := otlptrace.New(ctx, up)
	if err != nil {
		return nil, err
	}
	limits := sdk.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxAttribute
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithIDGenerator(ids{}), sdk.WithRawSpanLimits(limits))
	return &Tracer{cfg: cfg, uploader: up, provider: provider, tracer: provider.Tracer("mdpgateway")}, nil
}

// Close sends the spans that wait and ends the Tracer's goroutine. It returns
// about when its Patience ends, with or without them. Requests that are told of
// afterwards are passed over.
func (t *Tracer) Close() error {
	t.uploader.hurry()
	lost := time.AfterFunc(t.cfg.Patience, t.uploader.giveUp)
	defer lost.Stop()
	// Its own context would let it return before its goroutine.
	return t.provider.Shutdown(context.Background())
}
