package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"

	"net/textproto"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// lora is the catalogue of design and document: a service with all that a service
// can have.
const lora = `
services:
  lora_decode:
    description: demodulates one LoRa frame of I/Q samples
    brokers: [embedded]
    timeout: 30s
    max_timeout: 2m
    vars: python
    vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, minimum: 7, maximum: 12}}}
    example: {body: AAEC, encoding: base64, vars: {sf: 7}}
    max_frames: 1
    max_in_flight: 32
    reply: base64
    content_type: audio/x-raw
    errors:
      - {equals: decode_error, reason: no_frame, status: 409, detail: no frame was found in the samples}
`

// startLora starts a gateway with that catalogue, its embedded broker and the demo
// worker.
func startLora(t *testing.T, args ...string) *running {
	t.Helper()
	g := start(t, append([]string{"--config", write(t, t.TempDir(), "gateway.yaml", lora)}, args...)...)
	g.waitForDemo()
	return g
}

func (g *running) waitForDemo() {
	g.t.Helper()
	eventually(g.t, "the demo worker is there", func() bool { return g.post("echo", `{}`).status == http.StatusOK })
}

// An outgoing is a request in the making.
type outgoing struct {
	method, path string
	query        url.Values
	header       http.Header
	body         []byte
}

func (o outgoing) String() string {
	return fmt.Sprintf("%s %s?%s %v %q", o.method, o.path, o.query.Encode(), o.header, o.body)
}

func (o outgoing) to(t testing.TB, g *running) *http.Request {
	t.Helper()
	r, err := http.NewRequest(o.method, g.url+o.path, bytes.NewReader(o.body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.RawQuery = o.query.Encode()
	maps.Copy(r.Header, o.header)
	return r
}

// examples returns the examples of a media type, a header or a parameter by their
// names; one without is "".
func examples(one any, many openapi3.Examples) map[string]any {
	all := map[string]any{}
	if one != nil {
		all[""] = one
	}
	for name, e := range many {
		all[name] = e.Value.Value
	}
	return all
}

// Every request that the document shows is taken, and answered as it says.
func TestEveryExampleOfARequestIsAnswered(t *testing.T) {
	j, g := newJudge(t), startLora(t)
	client := newClient(t)
	replayed := 0
	for path, item := range j.doc.Paths.Map() {
		for method, op := range item.Operations() {
			filled := strings.NewReplacer("/console/{file}", "/console/console.js", "{name}", "echo", "{file}", "LICENSE.txt").Replace(path)
			requests := map[string]outgoing{"": {method: method, path: filled}}
			for _, p := range slices.Concat(item.Parameters, op.Parameters) {
				for name, value := range examples(p.Value.Example, p.Value.Examples) {
					o := outgoing{method: method, path: filled, query: url.Values{}, header: http.Header{}}
					if p.Value.Name == "expires" || p.Value.Name == "Idempotency-Key" { // of a job alone
						o.header.Set("Prefer", "respond-async")
					}
					switch p.Value.In {
					case "query":
						o.query.Set(p.Value.Name, fmt.Sprint(value))
					case "header":
						o.header.Set(p.Value.Name, fmt.Sprint(value))
					}
					requests[p.Value.Name+" "+name] = o
				}
			}
			if op.RequestBody != nil {
				for mediaType, content := range op.RequestBody.Value.Content {
					for name, value := range examples(content.Example, content.Examples) {
						requests[mediaType+" "+name] = withBody(t, outgoing{method: method, path: filled}, mediaType, value)
					}
				}
			}
			for name, o := range requests {
				replayed++
				if before, after, ok := strings.Cut(o.path, "{id}"); ok {
					o.path = before + g.jobFor(t, path) + after
				}
				x := exchanged(t, client, o.to(t, g))
				if err := j.request(x.request); err != nil {
					t.Errorf("%s %s, %s: the request is not as documented: %v", method, path, name, err)
				}
				if err := j.answer(x); err != nil || !slices.Contains([]int{http.StatusOK, http.StatusAccepted, http.StatusNoContent}, x.answer.status) {
					t.Errorf("%s %s, %s: got %d %.300q: %v", method, path, name, x.answer.status, x.answer.body, err)
				}
			}
		}
	}
	if replayed < 40 {
		t.Errorf("%d examples were replayed, want those of all parameters, bodies and routes", replayed)
	}
}

// jobFor makes a job that an example of a request on that path is about: one that is done, or one to be canceled.
func (g *running) jobFor(t *testing.T, path string) string {
	t.Helper()
	if strings.HasSuffix(path, "/cancel") {
		return g.submit(t, "lora_decode", jsonBody, `{"vars":{"sf":7}}`)
	}
	id := g.submit(t, "stream", jsonBody, `{"body":"2"}`)
	g.awaitJob(t, id)
	return id
}

// withBody adds a body that is an example.
func withBody(t testing.TB, o outgoing, mediaType string, value any) outgoing {
	t.Helper()
	o.header = http.Header{"Content-Type": {mediaType}}
	switch text, isText := value.(string); {
	case mediaType == "multipart/form-data":
		var contentType string
		contentType, o.body = form(t, value.(map[string]any))
		o.header.Set("Content-Type", contentType)
	case isText && mediaType != "application/json":
		o.body = []byte(text)
	default:
		var err error
		if o.body, err = json.Marshal(value); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// A fataler is a test, or a property of one.
type fataler interface{ Fatal(args ...any) }

// form makes a form of the parts frame and vars.
func form(t fataler, parts map[string]any) (contentType string, body []byte) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part := func(name, contentType string, content []byte) {
		head := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="` + name + `"`}, "Content-Type": {contentType}}
		to, err := w.CreatePart(head)
		if err == nil {
			_, err = to.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	frames, isList := parts["frame"].([]any)
	if !isList && parts["frame"] != nil {
		frames = []any{parts["frame"]}
	}
	for _, frame := range frames {
		part("frame", "text/plain", []byte(fmt.Sprint(frame)))
	}
	if vars := parts["vars"]; vars != nil {
		encoded, err := json.Marshal(vars)
		if err != nil {
			t.Fatal(err)
		}
		part("vars", "application/json", encoded)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

// answersOf returns the examples of answers in the document: by name those of
// problems, the others by where they are.
func (j *judge) answersOf() map[string]any {
	all := map[string]any{}
	for path, item := range j.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				for mediaType, content := range response.Value.Content {
					for name, value := range examples(content.Example, content.Examples) {
						where := strings.TrimRight(fmt.Sprintf("%s %s %s %s %s", method, path, status, mediaType, name), " ")
						if mediaType == "application/problem+json" {
							where = name
						}
						all[where] = value
					}
				}
			}
		}
	}
	return all
}

// Every answer that the document shows is one that the program gives, and so is
// every code: each is provoked for real, its answer held against the schemas and
// against the example.
func TestEveryExampleOfAnAnswerIsGiven(t *testing.T) {
	j := newJudge(t)
	shown := j.answersOf()
	provoked := slices.Sorted(maps.Keys(provocations))
	if want := slices.Sorted(maps.Keys(shown)); !slices.Equal(provoked, want) {
		t.Fatalf("the document has the examples\n%s\nthose that are provoked are\n%s", strings.Join(want, "\n"), strings.Join(provoked, "\n"))
	}
	for name, provoke := range provocations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := provoke(t)
			if err := j.answer(x); err != nil {
				t.Errorf("%d %s: %v", x.answer.status, x.answer.body, err)
			}
			if err := like(shown[name], x.answer.body); err != nil {
				t.Errorf("%v; the answer is %d %s", err, x.answer.status, x.answer.body)
			}
		})
	}
}

// like says where an answer is not what the example shows.
func like(example any, body []byte) error {
	text, isText := example.(string)
	if isText {
		for line := range strings.Lines(text) {
			if !bytes.Contains(body, []byte(line)) {
				return fmt.Errorf("there is no line %q", line)
			}
		}
		return nil
	}
	var got any
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	example, got = steady("", example), steady("", got)
	if !reflect.DeepEqual(example, got) {
		return fmt.Errorf("got\n%v\nthe example is\n%v", got, example)
	}
	return nil
}

var numbers = regexp.MustCompile(`[0-9]+`)

// steady returns a JSON value with its type in place of what differs from one
// answer to the next: ids, times that passed, versions, and numbers in texts.
func steady(name string, v any) any {
	switch name {
	case "id", "created", "expires", "started", "ended", "keep_until", "request_id", "elapsed_ms", "service_last_ok_ms", "last_ok_ms", "version", "revision", "goversion", "zmqversion":
		return fmt.Sprintf("%T", v)
	}
	switch v := v.(type) {
	case map[string]any:
		o := map[string]any{}
		for name, member := range v {
			if name != "position" { // which a job that is being tried has not
				o[name] = steady(name, member)
			}
		}
		return o
	case []any:
		a := make([]any, len(v))
		for i := range v {
			a[i] = steady("", v[i])
		}
		return a
	case string:
		if name == "detail" {
			return numbers.ReplaceAllString(v, "N")
		}
	}
	return v
}
