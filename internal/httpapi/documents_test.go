package httpapi

import (
	"bytes"
	"fmt"
	"testing"

	"mdpgateway/internal/gateway"
)

// The bodies of two equal requests share their memory if the second built nothing.
func TestADocumentIsBuiltOncePerSetOfServices(t *testing.T) {
	var d documents
	get := func(services ...gateway.ServiceInfo) document {
		t.Helper()
		doc, err := d.get(services)
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	first := gateway.ServiceInfo{Name: "a", Catalogued: true, MaxFrames: 1}
	doc := get(first)
	busier := first
	busier.Calls, busier.InFlight, busier.Availability = 7, 3, gateway.ServiceUp
	if again := get(busier); &again.body[0] != &doc.body[0] {
		t.Error("what a document does not show built it anew")
	}
	for _, change := range []func(*gateway.ServiceInfo){
		func(s *gateway.ServiceInfo) { s.Name = "b" },
		func(s *gateway.ServiceInfo) { s.Description = "x" },
		func(s *gateway.ServiceInfo) { s.Vars = "none" },
		func(s *gateway.ServiceInfo) { s.VarsSchema = []byte(sf) },
		func(s *gateway.ServiceInfo) { s.Example = []byte(`{"body":"x"}`) },
		func(s *gateway.ServiceInfo) { s.MaxFrames = 2 },
	} {
		changed := first
		change(&changed)
		if other := get(changed); other.tag == doc.tag || bytes.Equal(other.body, doc.body) {
			t.Errorf("%+v has the document of %+v", changed, first)
		}
	}
	for i := range 3 * maxDocuments {
		get(gateway.ServiceInfo{Name: fmt.Sprint(i), Catalogued: true})
	}
	if len(d.built) > maxDocuments {
		t.Errorf("%d documents are kept, want at most %d", len(d.built), maxDocuments)
	}
}

func TestWhoHasTheDocumentIsToldSo(t *testing.T) {
	services := []gateway.ServiceInfo{{Name: "lora_x", Catalogued: true}, {Name: "secret", Catalogued: true}}
	g := serve(t, Config{Caller: catalogued{echo, services}, Access: keys(t)})
	a := g.get("/openapi.json", bearer("all"))
	tag := a.Header.Get("ETag")
	a.wantHeader(t, "Cache-Control", "no-cache")
	if a.StatusCode != 200 || tag == "" {
		t.Fatalf("the answer is %d with the tag %q", a.StatusCode, tag)
	}
	again := g.get("/openapi.json", bearer("all"), "If-None-Match: "+tag)
	again.wantBody(t, 304, "")
	again.wantHeader(t, "ETag", tag)
	if other := g.get("/openapi.json", bearer("other"), "If-None-Match: "+tag); other.StatusCode != 200 || other.Header.Get("ETag") == tag {
		t.Errorf("a key for other services is answered %d with the tag %q", other.StatusCode, other.Header.Get("ETag"))
	}
}

// The documents that were asked for last are kept.
func TestTheDocumentsThatAreUsedAreKept(t *testing.T) {
	var d documents
	of := func(name string) []byte {
		doc, err := d.get([]gateway.ServiceInfo{{Name: name}})
		if err != nil {
			t.Fatal(err)
		}
		return doc.body
	}
	first, second := of("first"), of("second")
	for i := range maxDocuments - 1 { // one too many
		of(fmt.Sprint(i))
		if again := of("first"); &again[0] != &first[0] {
			t.Fatalf("a document in use was built again after %d others", i+2)
		}
	}
	if again := of("second"); &again[0] == &second[0] {
		t.Error("a document that was not used for long was kept")
	}
	if n := len(d.built); n != maxDocuments {
		t.Errorf("%d documents are kept, want %d", n, maxDocuments)
	}
}

func BenchmarkDocument(b *testing.B) {
	var services []gateway.ServiceInfo
	for i := range 200 {
		services = append(services, gateway.ServiceInfo{Name: fmt.Sprint(i), Catalogued: true, VarsSchema: []byte(sf)})
	}
	var d documents
	if _, err := d.get(services); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := d.get(services); err != nil {
			b.Fatal(err)
		}
	}
}
