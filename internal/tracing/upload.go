package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
)

// The first wait before a batch is sent again, which doubles, and the longest. The
// SDK gives a batch 30 s in all.
const (
	firstWait = 500 * time.Millisecond
	longWait  = 8 * time.Second
)

// maxAnswer is how much of a collector's answer is read to use its connection again.
const maxAnswer = 64 << 10

// An uploader posts spans to a collector (OTLP/HTTP 1.x, binary protobuf). It is the
// client of an otlptrace.Exporter.
type uploader struct {
	// Set once.
	endpoint string
	headers  http.Header
	log      *zap.Logger
	http     *http.Client

	life     context.Context // of all posts
	giveUp   context.CancelFunc
	hurried  chan struct{} // closed: no more waits
	hurrying sync.Once
}

func newUploader(endpoint string, headers http.Header, log *zap.Logger) *uploader {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
		MaxIdleConns: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}
	u := &uploader{
		endpoint: endpoint, headers: headers, log: log, hurried: make(chan struct{}),
		http: &http.Client{Transport: transport, Timeout: 10 * time.Second},
	}
	u.life, u.giveUp = context.WithCancel(context.Background())
	return u
}

// hurry makes every batch from now on be sent once or lost.
func (u *uploader) hurry() { u.hurrying.Do(func() { close(u.hurried) }) }

// Start is otlptrace.Client.
func (u *uploader) Start(context.Context) error { return nil }

// Stop is otlptrace.Client. It is called when no batch is on its way any more.
func (u *uploader) Stop(context.Context) error {
	u.giveUp()
	u.http.CloseIdleConnections()
	return nil
}

// UploadTraces is otlptrace.Client. It tries again what the collector may take
// later, until ctx ends. A batch that is lost is logged here: an error returned
// would go to a handler that the whole process shares.
func (u *uploader) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(u.life, cancel)()
	// It is ExportTraceServiceRequest on the wire, without that one's gRPC.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err == nil {
		err = u.send(ctx, body)
	}
	if err != nil {
		u.log.Warn("spans are lost", zap.Int("spans", count(spans)), zap.Error(err))
	}
	return nil
}

// send posts until the collector has taken or refused the body.
func (u *uploader) send(ctx context.Context, body []byte) error {
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		after, err := u.post(ctx, body)
		if err == nil || after < 0 {
			return err
		}
		select {
		case <-time.After(max(after, wait)):
		case <-u.hurried:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// post posts once. With an error, after is how long the collector wants to be left
// alone, or negative if it will never take this body.
func (u *uploader) post(ctx context.Context, body []byte) (after time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.endpoint, bytes.NewReader(body))
	if err != nil {
		return -1, err
	}
	maps.Copy(r.Header, u.headers)
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("User-Agent", "mdp-gateway")
	answer, err := u.http.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.CopyN(io.Discard, answer.Body, maxAnswer)
	_ = answer.Body.Close()
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	switch answer.StatusCode {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return 0, nil
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return time.Duration(max(seconds, 0)) * time.Second, fmt.Errorf("the collector answered %s", answer.Status)
	}
	return -1, fmt.Errorf("the collector answered %s, want 200", answer.Status)
}

func count(spans []*tracepb.ResourceSpans) (n int) {
	for _, of := range spans {
		for _, scope := range of.ScopeSpans {
			n += len(scope.Spans)
		}
	}
	return n
}
