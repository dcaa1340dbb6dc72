package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"mdpgateway/api"
)

// A judge holds requests and answers against the contract.
type judge struct {
	doc     *openapi3.T
	routes  routers.Router
	general routers.Router // without the paths of single services, which only call them
}

// newJudge holds against the contract, which must be a valid document whose
// examples are of their schemas.
func newJudge(t testing.TB) *judge {
	t.Helper()
	doc, err := contract()
	if err != nil {
		t.Fatal(err)
	}
	return judgeBy(t, doc)
}

// contract is the document, read and checked once.
var contract = sync.OnceValues(func() (*openapi3.T, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPIJSON)
	if err != nil {
		return nil, err
	}
	return doc, errors.Join(doc.Validate(context.Background(), openapi3.DisableExamplesValidation()), checkExamples(api.OpenAPIJSON))
})

func judgeBy(t testing.TB, doc *openapi3.T) *judge {
	t.Helper()
	readTextBodies()
	routes, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	shared := *doc
	shared.Paths = openapi3.NewPaths()
	for path, item := range doc.Paths.Map() {
		if !strings.HasPrefix(path, "/services/") || strings.HasPrefix(path, "/services/{name}") {
			shared.Paths.Set(path, item)
		}
	}
	general, err := gorillamux.NewRouter(&shared)
	if err != nil {
		t.Fatal(err)
	}
	return &judge{doc, routes, general}
}

// readTextBodies tells the validator of the types whose schema is a text.
var readTextBodies = sync.OnceFunc(func() {
	for _, mediaType := range []string{"text/event-stream", "application/x-ndjson", "text/html", "image/svg+xml", "text/javascript", "application/openmetrics-text", "audio/x-raw"} {
		openapi3filter.RegisterBodyDecoder(mediaType, openapi3filter.PlainBodyDecoder)
	}
})

// An exchange is a request and its answer.
type exchange struct {
	request *http.Request // its body can be read again
	answer  answered
}

// exchanged sends a request.
func exchanged(t testing.TB, client *http.Client, r *http.Request) exchange {
	t.Helper()
	a, err := do(client, r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return exchange{r, a}
}

// input reads a request. One of HEAD is that of GET, of which alone the document speaks.
func (j *judge) input(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	bodiless := r.Method == http.MethodHead
	if bodiless {
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	route, params, err := j.routes.FindRoute(r)
	if errors.Is(err, routers.ErrMethodNotAllowed) {
		route, params, err = j.general.FindRoute(r)
	}
	if err != nil {
		return nil, err
	}
	for name, encoded := range params { // the router leaves them so
		if params[name], err = url.PathUnescape(encoded); err != nil {
			return nil, err
		}
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return nil, err
		}
	}
	return &openapi3filter.RequestValidationInput{
		Request: again, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, ExcludeResponseBody: bodiless,
		},
	}, nil
}

// request says why a request is not one of the contract's.
func (j *judge) request(r *http.Request) error {
	in, err := j.input(r)
	if err != nil {
		return err
	}
	return openapi3filter.ValidateRequest(r.Context(), in)
}

// answer says why an answer is not one of the contract's.
func (j *judge) answer(x exchange) error {
	a := x.answer
	in, err := j.input(x.request)
	if err != nil { // no route of ours, or not with this method: only the problem's shape is promised
		return j.problem(a)
	}
	err = openapi3filter.ValidateResponse(x.request.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: a.status, Header: a.header,
		Body: io.NopCloser(bytes.NewReader(a.body)), Options: in.Options,
	})
	switch mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); {
	case err != nil:
		return err
	case a.status >= 400 && x.request.Method != http.MethodHead:
		return j.problem(a)
	case mediaType == "text/event-stream" || mediaType == "application/x-ndjson":
		return j.events(a.body, mediaType == "text/event-stream", x.request.Header.Get("Last-Event-ID") != "")
	}
	return nil
}

// problem says why an answer is no problem, or another than its status says.
func (j *judge) problem(a answered) error {
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		return fmt.Errorf("an answer of status %d is %s: %q", a.status, got, a.body)
	}
	if status, _ := a.json("status").(float64); int(status) != a.status {
		return fmt.Errorf("the problem has the status %v, the answer %d", a.json("status"), a.status)
	}
	if kind, code := a.json("type"), a.json("code"); kind != fmt.Sprint("/problems#", code) {
		return fmt.Errorf("the problem %v has the type %v", code, kind)
	}
	return j.is("Problem", a.body)
}

// is says why a JSON text is not of a schema.
func (j *judge) is(schema string, text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return fmt.Errorf("%w: %q", err, text)
	}
	return j.doc.Components.Schemas[schema].Value.VisitJSON(v, openapi3.EnableJSONSchema2020())
}

// events says why a body is no stream of events, numbered from 0, of which the
// last is final or a problem. One that is resumed begins with any number.
func (j *judge) events(body []byte, sse, resumed bool) error {
	number, last := 0, ""
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, len(body)+1) // an event may be the whole of it
	for lines.Scan() {
		line, name := lines.Text(), ""
		if sse {
			if line == ": ping" || line == "" || strings.HasPrefix(line, "id: ") {
				continue
			}
			name, _ = strings.CutPrefix(line, "event: ")
			lines.Scan()
			line = strings.TrimPrefix(lines.Text(), "data: ")
		}
		schema := "Event"
		if strings.Contains(line, `"event":"state"`) {
			schema = "JobEvent"
		}
		if err := j.is(schema, []byte(line)); err != nil {
			return fmt.Errorf("the event %q: %w", line, err)
		}
		var event struct {
			Event string
			Seq   int
		}
		_ = json.Unmarshal([]byte(line), &event)
		if event.Event == "ping" || event.Event == "state" {
			continue
		}
		if resumed {
			number, resumed = event.Seq, false
		}
		if event.Seq != number || sse && name != event.Event {
			return fmt.Errorf("the event %q, named %q, is number %d", line, name, number)
		}
		number, last = number+1, event.Event
	}
	if last != "final" && last != "problem" {
		return fmt.Errorf("the last event is %q", last)
	}
	return nil
}
