package httpapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

// A catalogued is a Caller with these services.
type catalogued struct {
	caller
	services []gateway.ServiceInfo
}

func (c catalogued) Services() []gateway.ServiceInfo { return c.services }

// document is GET /openapi.json as the caller with these headers gets it.
func (g *testServer) document(headers ...string) object {
	g.t.Helper()
	a := g.get("/openapi.json", headers...)
	a.wantHeader(g.t, "Content-Type", "application/json")
	var doc object
	if err := json.Unmarshal(a.body, &doc); err != nil || a.StatusCode != 200 {
		g.t.Fatalf("the answer is %d %.200q: %v", a.StatusCode, a.body, err)
	}
	return doc
}

func parsed(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

const sf = `{"type":"object","required":["sf"],"properties":{"sf":{"type":"integer"}}}`

var described = []gateway.ServiceInfo{
	{Name: "lora", Catalogued: true, Vars: "python", Description: "one LoRa frame", MaxFrames: 2, VarsSchema: []byte(sf), Example: []byte(`{"body":"AAEC","encoding":"base64","vars":{"sf":7}}`)},
	{Name: "a/b {c}", Catalogued: true, Vars: "none"},
	{Name: "a.b..c.", Catalogued: true, Vars: "json", VarsSchema: []byte(`{"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}}`)},
	{Name: "joined", Vars: "python", MaxFrames: 1, Live: &gateway.LiveService{Workers: 2}},
	{Name: "answered", Vars: "python", LastOK: new(int64)},
	{Name: "confirmed", Vars: "python"},
	{Name: "queued", Vars: "python", Live: &gateway.LiveService{Queued: 1}},
}

func TestTheDocumentHasAPathForEachServiceOfTheCatalogue(t *testing.T) {
	g := serve(t, Config{Caller: catalogued{echo, described}})
	doc := g.document()
	paths := dig(doc, "paths")
	lora := dig(paths, "/services/lora", "post")
	if lora["operationId"] != "call_lora" || lora["description"] != "one LoRa frame" {
		t.Errorf("the operation is %v", lora)
	}
	for _, p := range lora["parameters"].([]any) {
		if p.(object)["in"] == "path" {
			t.Errorf("the path has no name to fill in, the operation has %v", p)
		}
	}
	content := dig(lora, "requestBody", "content", "application/json")
	if want := parsed(t, string(described[0].Example)); !reflect.DeepEqual(content["example"], want) {
		t.Errorf("the example is %v, want %v", content["example"], want)
	}
	ref := "#/components/schemas/vars_lora"
	if got := dig(content, "schema", "properties", "vars"); !reflect.DeepEqual(got, object{"$ref": ref}) {
		t.Errorf("the vars are %v, want a reference to %s", got, ref)
	}
	if got, want := dig(doc, "components", "schemas")["vars_lora"], parsed(t, sf); !reflect.DeepEqual(got, want) {
		t.Errorf("the vars are %v, want %v", got, want)
	}
	if got := dig(content, "schema", "properties", "frames")["maxItems"]; got != 2.0 {
		t.Errorf("the body may have %v frames, want 2", got)
	}
	if got := dig(content, "schema")["required"]; !reflect.DeepEqual(got, []any{"vars"}) {
		t.Errorf("the body requires %v, want vars", got)
	}
	if dig(paths, callPath, "post")["operationId"] != "callService" {
		t.Error("the path for all services is another")
	}
}

// Services that work are described although no file lists them; names that a broker only
// knows are not, since some brokers know any.
func TestTheDocumentHasAPathForEachServiceAtWork(t *testing.T) {
	g := serve(t, Config{Caller: catalogued{echo, described}})
	paths := dig(g.document(), "paths")
	for name, want := range map[string]bool{"joined": true, "answered": true, "confirmed": false, "queued": false} {
		if got := paths["/services/"+name] != nil; got != want {
			t.Errorf("%s has a path: %v, want %v", name, got, want)
		}
	}
	joined := dig(paths, "/services/joined", "post", "requestBody", "content", "application/json", "schema", "properties")
	if joined["vars"] == nil || dig(joined, "frames")["maxItems"] != 1.0 {
		t.Errorf("its body is %v, want one with any vars and at most one frame", joined)
	}
}

func TestServicesAtWorkAreBoundedInTheDocument(t *testing.T) {
	var services []gateway.ServiceInfo
	for i := range 2 * maxLive {
		services = append(services, gateway.ServiceInfo{Name: fmt.Sprintf("s%03d", i), LastOK: new(int64)})
	}
	services = append(services, gateway.ServiceInfo{Name: "z", Catalogued: true})
	g := serve(t, Config{Caller: catalogued{echo, services}})
	shown := 0
	for path := range dig(g.document(), "paths") {
		if strings.HasPrefix(path, "/services/s") {
			shown++
		}
		if path == "/services/z" {
			shown += 1000
		}
	}
	if shown != 1000+maxLive {
		t.Errorf("got %d, want the catalogue's (1000) and %d others", shown, maxLive)
	}
}

func TestServicesOfOddNamesAndSchemasAreDescribedToo(t *testing.T) {
	g := serve(t, Config{Caller: catalogued{echo, described}})
	doc := g.document()
	paths := dig(doc, "paths")
	if one, other := dig(paths, "/services/a{part1}b{part2}c{part3}", "post")["operationId"], dig(paths, "/services/a.b..c.", "post")["operationId"]; one != "call_a_b__c_" || other != "call_a_b__c__2" {
		t.Errorf("the operations are %q and %q", one, other)
	}
	schema := func(path string) object {
		return dig(paths, path, "post", "requestBody", "content", "application/json", "schema", "properties")
	}
	if vars := schema("/services/a{part1}b{part2}c{part3}")["vars"]; vars != nil {
		t.Errorf("a service without vars has %v", vars)
	}
	if vars := dig(schema("/services/a.b..c."), "vars")["$ref"]; vars != "#/components/schemas/vars_a_b__c__2" {
		t.Errorf("the vars are those of %v", vars)
	}
	if dig(doc, "components", "schemas", "Envelope", "properties")["vars"] == nil {
		t.Error("the schema of all bodies has lost its vars")
	}
}

// TestOperationsOfServicesAreOneFunctionEach holds for generators that write ids and schemas
// in camel case: two of one word are a client that does not compile.
func TestOperationsOfServicesAreOneFunctionEach(t *testing.T) {
	var services []gateway.ServiceInfo
	for _, name := range []string{"service", "a-b", "a_B", "aB", "ab", "ab2", "A.b-2", "-", "--"} {
		services = append(services, gateway.ServiceInfo{Name: name, Catalogued: true, VarsSchema: []byte(sf)})
	}
	g := serve(t, Config{Caller: catalogued{echo, services}})
	doc := g.document()
	word := func(name string) string {
		return strings.ToLower(regexp.MustCompile("[^A-Za-z0-9]").ReplaceAllString(name, ""))
	}
	ids, schemas := map[string]string{}, map[string]string{}
	for path, item := range dig(doc, "paths") {
		for method := range item.(object) {
			id, _ := dig(item.(object), method)["operationId"].(string)
			if other := ids[word(id)]; id != "" && other != "" {
				t.Errorf("%s %s is %s, which is one function with %s", method, path, id, other)
			}
			ids[word(id)] = id
		}
	}
	for name := range dig(doc, "components", "schemas") {
		if other := schemas[word(name)]; other != "" {
			t.Errorf("the schemas %s and %s are one type", name, other)
		}
		schemas[word(name)] = name
	}
	for _, info := range services {
		if dig(doc, "paths", "/services/"+info.Name) == nil {
			t.Errorf("%s has no path", info.Name)
		}
	}
}

// TestThePageFindsEveryPathOfTheDocument holds that no path has what a JSON pointer in a
// URI decodes: the page at /docs then shows nothing of any service.
func TestThePageFindsEveryPathOfTheDocument(t *testing.T) {
	names := []string{"a/b", "a<b", "a%b", "a?b", "a#b", "{x}", "a|b", "c/d/e", "f%2Fg", "/", "h"}
	var services []gateway.ServiceInfo
	for _, name := range names {
		services = append(services, gateway.ServiceInfo{Name: name, Catalogued: true})
	}
	g := serve(t, Config{Caller: catalogued{echo, services}})
	doc := g.document()
	called := map[string]bool{}
	for path, item := range dig(doc, "paths") {
		if decoded, err := url.PathUnescape(path); err != nil || decoded != path {
			t.Errorf("%s is decoded to %q, %v", path, decoded, err)
		}
		parameters, _ := item.(object)["parameters"].([]any)
		for _, p := range parameters {
			if only, ok := dig(p.(object), "schema")["enum"].([]any); ok {
				path = strings.Replace(path, "{"+p.(object)["name"].(string)+"}", url.PathEscape(only[0].(string)), 1)
			}
		}
		name, err := url.PathUnescape(strings.TrimPrefix(path, "/services/"))
		if err == nil && strings.HasPrefix(path, "/services/") {
			called[name] = true
		}
	}
	// Of names that differ in such characters alone the first has a path; of nothing else, none.
	for name, want := range map[string]bool{"a/b": true, "a?b": false, "{x}": true, "c/d/e": true, "f%2Fg": true, "/": false, "h": true} {
		if called[name] != want {
			t.Errorf("%s has a path of its own: %v, want %v", name, called[name], want)
		}
	}
}

// What a schema of vars refers to within itself is not where it was.
func TestReferencesWithinASchemaFollowIt(t *testing.T) {
	const here = "#/components/schemas/vars_s"
	for schema, want := range map[string]string{
		`{"$ref":"#/$defs/x","$defs":{"x":{"type":"object"}}}`:                                                                   `{"$ref":"` + here + `/$defs/x","$defs":{"x":{"type":"object"}}}`,
		`{"properties":{"inner":{"anyOf":[{"$ref":"#"},{"type":"null"}]}}}`:                                                      `{"properties":{"inner":{"anyOf":[{"$ref":"` + here + `"},{"type":"null"}]}}}`,
		`{"$id":"urn:x","$ref":"#/$defs/x","$defs":{"x":{}}}`:                                                                    `{"$id":"urn:x","$ref":"#/$defs/x","$defs":{"x":{}}}`,
		`{"properties":{"$id":{"$ref":"#/$defs/x"}},"$defs":{"x":{}}}`:                                                           `{"properties":{"$id":{"$ref":"` + here + `/$defs/x"}},"$defs":{"x":{}}}`,
		`{"$ref":"https://json-schema.org/draft/2020-12/schema"}`:                                                                `{"$ref":"https://json-schema.org/draft/2020-12/schema"}`,
		`{"properties":{"x":{"const":{"$ref":"#/a"},"enum":[{"$ref":"#/a"}],"default":{"$ref":"#"},"examples":[{"$ref":"#"}]}}}`: `{"properties":{"x":{"const":{"$ref":"#/a"},"enum":[{"$ref":"#/a"}],"default":{"$ref":"#"},"examples":[{"$ref":"#"}]}}}`,
		`{"properties":{"default":{"$ref":"#/$defs/enum"}},"$defs":{"enum":{"items":{"$ref":"#"}}}}`:                             `{"properties":{"default":{"$ref":"` + here + `/$defs/enum"}},"$defs":{"enum":{"items":{"$ref":"` + here + `"}}}}`,
		`true`: `true`,
	} {
		g := serve(t, Config{Caller: catalogued{echo, []gateway.ServiceInfo{{Name: "s", Catalogued: true, VarsSchema: []byte(schema)}}}})
		if got := dig(g.document(), "components", "schemas")["vars_s"]; !reflect.DeepEqual(got, parsed(t, want)) {
			t.Errorf("%s is in the document as %v, want %s", schema, got, want)
		}
	}
}

func TestTheDocumentHasOnlyWhatTheKeyMayCall(t *testing.T) {
	g := serve(t, Config{Caller: catalogued{echo, []gateway.ServiceInfo{{Name: "lora_x", Catalogued: true}, {Name: "secret", Catalogued: true},
		{Name: "lora_live", Live: &gateway.LiveService{Workers: 1}}, {Name: "secret_live", Live: &gateway.LiveService{Workers: 1}},
	}}, Access: keys(t)})
	for key, want := range map[string][]string{"all": {"lora_live", "lora_x", "secret", "secret_live"}, "other": {"lora_live", "lora_x"}} {
		var got []string
		for path := range dig(g.document(bearer(key)), "paths") {
			if name, is := strings.CutPrefix(path, "/services/"); is && !strings.HasPrefix(name, "{name}") {
				got = append(got, name)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("the key %s sees %v, want %v", key, got, want)
		}
	}
}
