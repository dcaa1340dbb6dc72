package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"mdpgateway/internal/mdp/mdptest"
	"mdpgateway/internal/mdp/worker"
)

// Whatever request the document allows is never 400, 422 or 500, and whatever it
// does not allow is a problem of the documented shape. What is allowed, the
// document itself says, as the running program serves it; requests are drawn from
// its schemas, and then made a little wrong.
func TestTheDocumentTellsWhichRequestsAreTaken(t *testing.T) {
	g := startLora(t)
	mdptest.WorkerWith(t, worker.Config{Endpoint: g.broker, Services: map[string]worker.Handler{"lora_decode": echoBack}})
	j := judgeBy(t, g.document())
	client := newClient(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	seeded(t)
	valid, invalid := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		d := draft{T: rt, doc: j.doc}
		o := d.request()
		r := o.to(t, g)
		x := exchanged(t, client, r)
		err := j.request(d.judged(r))
		if err == nil && d.wrong != "" {
			err = fmt.Errorf("by its prose: %s", d.wrong)
		}
		if problem := j.answer(x); problem != nil {
			rt.Fatalf("%s: the answer %d %s is none of the document's: %v", o, x.answer.status, x.answer.body, problem)
		}
		switch s := x.answer.status; {
		case err == nil:
			valid++
			if s == 400 || s == 422 || s == 500 {
				rt.Fatalf("%s\nis what the document allows, and the answer is %d %s", o, s, x.answer.body)
			}
		default:
			invalid++
			if s < 400 || s > 499 {
				rt.Fatalf("%s\nis not what the document allows: %v\nand the answer is %d %s", o, err, s, x.answer.body)
			}
		}
	})
	t.Logf("%d requests were allowed, %d were not", valid, invalid)
	if (valid < 20 || invalid < 20) && !testing.Short() { // then rapid makes a fifth of the checks
		t.Errorf("%d requests were allowed and %d were not, want many of both", valid, invalid)
	}
}

// seeded makes the run repeatable by the seed that it logs: go test -run … -args
// -rapid.seed=N.
func seeded(t *testing.T) {
	t.Helper()
	ours := map[string]string{"rapid.seed": strconv.FormatUint(rand.Uint64()|1, 10), "rapid.checks": "150", "rapid.nofailfile": "true"}
	for name, value := range ours {
		if f := flag.Lookup(name); f.Value.String() == f.DefValue {
			if err := f.Value.Set(value); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
		}
	}
	t.Logf("-rapid.seed=%s", flag.Lookup("rapid.seed").Value)
}

// document is GET /openapi.json.
func (g *running) document() *openapi3.T {
	g.t.Helper()
	text := g.get("/openapi.json").body
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err == nil {
		err = errors.Join(doc.Validate(context.Background(), openapi3.DisableExamplesValidation()), checkExamples(text))
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return doc
}

// A draft is a request being drawn.
type draft struct {
	*rapid.T
	doc *openapi3.T

	wrong string // what is wrong with it that only the document's prose says
	vars  int    // how often it has vars
	needs bool   // the service can't do without them
	plain bool   // its body is neither JSON nor a form
	raw   bool   // its body is a frame, whatever its type
}

// request draws one request.
func (d *draft) request() outgoing {
	type operation struct{ path, method string }
	var operations []operation
	for _, path := range slices.Sorted(maps.Keys(d.doc.Paths.Map())) {
		for _, method := range slices.Sorted(maps.Keys(d.doc.Paths.Value(path).Operations())) {
			operations = append(operations, operation{path, method})
			if method == http.MethodPost { // the one with something to it
				operations = append(operations, slices.Repeat([]operation{{path, method}}, 12)...)
			}
		}
	}
	at := rapid.SampledFrom(operations).Draw(d.T, "operation")
	item := d.doc.Paths.Value(at.path)
	op := item.Operations()[at.method]
	o := outgoing{method: at.method, path: at.path, query: url.Values{}, header: http.Header{}}
	if at.method == http.MethodGet && at.path != "/jobs/{id}/events" && rapid.IntRange(0, 3).Draw(d.T, "HEAD") == 0 {
		o.method = http.MethodHead
	}
	if strings.Contains(at.path, "{name}") {
		o.path = strings.Replace(at.path, "{name}", url.PathEscape(d.name()), 1)
	}
	if op.RequestBody != nil {
		d.body(&o, op.RequestBody.Value)
	}
	parameters := slices.Concat(item.Parameters, op.Parameters)
	slices.SortFunc(parameters, func(a, b *openapi3.ParameterRef) int { return strings.Compare(a.Value.Name, b.Value.Name) })
	for _, p := range parameters {
		d.parameter(&o, p.Value)
	}
	if accept := rapid.SampledFrom(accepts).Draw(d.T, "Accept"); accept != "" {
		o.header.Set("Accept", accept)
	}
	if at.path == "/calls" && strings.HasPrefix(o.header.Get("Accept"), "text/") {
		o.header.Del("Accept") // events have no end
	}
	if strings.Contains(at.path, "{id}") { // of no job that there is
		o.path = strings.Replace(at.path, "{id}", rapid.SampledFrom([]string{strings.Repeat("a", 40), "x", "{id}"}).Draw(d.T, "id"), 1)
		d.wrong = "there is no such job"
	}
	async := strings.Contains(o.header.Get("Prefer"), "respond-async")
	switch {
	case strings.HasPrefix(at.path, "/services/") && !async && (o.header.Get("Idempotency-Key") != "" || o.query.Has("expires")):
		d.wrong = "only a job has a key, and expires"
	case d.vars > 1:
		d.wrong = "vars are given twice"
	case d.vars == 0 && d.needs && d.plain:
		d.wrong = "there are no vars"
	}
	return o
}

var accepts = []string{"", "", "", "*/*", "application/json", "multipart/form-data", "text/event-stream", "text/plain;q=0.1, */*;q=0", "text/html", "text/*", ";;q=,"}

// judged is a request as the validator must see it: with ?raw its type does not
// matter.
func (d *draft) judged(r *http.Request) *http.Request {
	if d.raw {
		r = r.Clone(r.Context())
		r.Header.Set("Content-Type", rawBody)
	}
	return r
}

func (d *draft) name() string {
	if rapid.Bool().Draw(d.T, "a known name") {
		return rapid.SampledFrom([]string{"echo", "vars", "fail"}).Draw(d.T, "service")
	}
	name := rapid.StringMatching(`[a-zA-Z0-9 ~%+:;é/-]{1,30}`).Draw(d.T, "name")
	return name
}

// parameter draws a parameter, or leaves it out. Vars are those of a raw body, and
// too many beside those of another.
func (d *draft) parameter(o *outgoing, p *openapi3.Parameter) {
	isVars := p.Schema.Value.ContentSchema != nil
	if p.In == "path" || p.Name == "raw" || isVars && !d.plain && d.vars == 0 || rapid.IntRange(0, 3).Draw(d.T, p.Name+" is there") > 0 {
		return
	}
	value := d.parameterValue(p)
	switch p.In {
	case "query":
		o.query.Set(p.Name, value)
	case "header":
		o.header.Set(p.Name, strings.ReplaceAll(value, "\x7f", `\u007f`)) // JSON may have it as it is, a header may not
	}
}

func (d *draft) parameterValue(p *openapi3.Parameter) string {
	schema := p.Schema.Value
	if schema.ContentSchema != nil {
		d.vars++
		text := d.json(schema.ContentSchema.Value)
		if rapid.IntRange(0, 9).Draw(d.T, "it is cut") == 0 {
			text = text[1:]
		}
		var vars any
		err := json.Unmarshal(text, &vars)
		if _, isObject := vars.(map[string]any); err != nil || !isObject {
			d.wrong = p.Name + " is no JSON object"
		} else if err := schema.ContentSchema.Value.VisitJSON(vars, openapi3.EnableJSONSchema2020()); err != nil {
			d.wrong = err.Error()
		}
		return string(text)
	}
	few := map[string][]string{
		"wait":    {"5ms", "1s", "-5s", "x"},
		"expires": {"5s", "1m30s", "100h", "10", "-5s", ""},
		"cursor":  {"5", "42", "0", "x"},
		"limit":   {"1", "1000", "0", "1001", "x"},
		"timeout": {"5s", "1m30s", "2.5s", "1h", "10", "-5s", "5 s", "", "1d"},
		"frame":   {"0", "1", "2", "-1", "x", "0.5", ""},
		"Prefer":  {"wait=5", "respond-async, wait=7", "wait=x", `wait="3"`, ";,=", "wait=99999999999999999999"},
	}[p.Name]
	switch {
	case few != nil:
		return rapid.SampledFrom(few).Draw(d.T, p.Name)
	case len(schema.Enum) > 0:
		return rapid.SampledFrom([]string{fmt.Sprint(schema.Enum[0]), fmt.Sprint(schema.Enum[len(schema.Enum)-1]), "auto", "x"}).Draw(d.T, p.Name)
	case schema.Type.Is("boolean"):
		return rapid.SampledFrom([]string{"true", "false", "yes", "2"}).Draw(d.T, p.Name)
	}
	return rapid.StringMatching(`[!-~]([ -~]{0,150}[!-~])?`).Draw(d.T, p.Name)
}

// body draws a body of one of the document's types.
func (d *draft) body(o *outgoing, body *openapi3.RequestBody) {
	d.needs = slices.Contains(body.Content[jsonBody].Schema.Value.Required, "vars")
	types := slices.Sorted(maps.Keys(body.Content))
	mediaType := rapid.SampledFrom(append(types, jsonBody, jsonBody, "none")).Draw(d.T, "type")
	switch mediaType {
	case jsonBody:
		o.body = d.spoil(d.json(body.Content[mediaType].Schema.Value))
	case "multipart/form-data":
		parts := d.object(body.Content[mediaType].Schema.Value, 2)
		if parts["frame"] == nil && parts["vars"] == nil {
			parts["frame"] = []any{"x"}
		}
		if parts["vars"] != nil {
			d.vars++
		}
		mediaType, o.body = form(d.T, parts)
	default:
		d.plain = true
		o.body = rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(d.T, "octets")
	}
	switch mediaType {
	case "*/*":
	case "none":
		o.body = nil
	default:
		o.header.Set("Content-Type", mediaType)
	}
	if raw := rapid.SampledFrom([]string{"", "", "", "", "true", "false", "yes"}).Draw(d.T, "raw"); raw != "" {
		o.query.Set("raw", raw)
		if raw == "true" {
			d.raw, d.plain, d.vars, d.wrong = true, true, 0, ""
		}
	}
}

// spoil sometimes makes of a JSON text one that is none, or one that not every
// parser reads alike.
func (d *draft) spoil(text []byte) []byte {
	how := rapid.IntRange(0, 40).Draw(d.T, "spoilt")
	if bytes.Contains(text, []byte(`"vars":`)) {
		d.vars++
	}
	wrong := map[int]string{1: "a name twice", 2: "a lone surrogate", 3: "no UTF-8", 4: "too many levels", 5: "text behind the value", 6: "the value ends early"}[how]
	if wrong == "" || len(text) == 0 {
		return text
	}
	d.wrong = wrong
	return map[int][]byte{
		1: []byte(`{"body":1,"body":1}`), 2: []byte(`{"body":"\ud800"}`), 3: []byte("{\"body\":\"\xff\"}"),
		4: []byte(`{"body":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`),
		5: append(text, " {}"...), 6: text[:len(text)-1],
	}[how]
}

// json draws a JSON text of a schema, or one that nearly is.
func (d *draft) json(schema *openapi3.Schema) []byte {
	text, err := json.Marshal(d.value(schema, 3))
	if err != nil {
		d.Fatal(err)
	}
	return text
}
