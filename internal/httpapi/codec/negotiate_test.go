package codec

import (
	"slices"
	"strings"
	"testing"

	"mdpgateway/internal/gateway"
)

const (
	isForm   = "Content-Type: multipart/form-data; boundary=b"
	wantForm = "Accept: multipart/form-data"
)

// outcome is how a reply will be given, in words.
func outcome(e *Exchange) string {
	s := [...]string{"json", "form", "sse", "ndjson", "raw"}[e.reply]
	if e.reply == rawReply {
		s += " " + e.raw
	}
	if e.mirrored {
		s += " mirrored"
	}
	return s
}

func TestReplyIsWhatAcceptLikesBest(t *testing.T) {
	for _, tt := range []struct{ accept, content, own, want string }{
		// What nobody asks for mirrors the request.
		{"", "", "", "raw application/octet-stream mirrored"},
		{"", "", "audio/x-raw", "raw audio/x-raw mirrored"},
		{"", isJSON, "audio/x-raw", "json mirrored"},
		{"", isForm, "", "json mirrored"},
		{"*/*", isJSON, "", "json mirrored"},
		{"*/*", "", "", "raw application/octet-stream mirrored"},
		{"*/*;q=0.1", isForm, "", "json mirrored"},
		{" , ", isJSON, "", "json mirrored"},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "", "raw application/octet-stream mirrored"},
		{"application/json;q=0.5, */*;q=0.8", "", "", "raw application/octet-stream mirrored"},
		// What is named.
		{"application/json", "", "", "json"},
		{"application/json; charset=utf-8", "", "", "json"},
		{"APPLICATION/JSON", "", "", "json"},
		{"application/*", "", "", "json"},
		{"multipart/form-data", "", "", "form"},
		{"text/event-stream", isJSON, "", "sse"},
		{"application/x-ndjson", isJSON, "", "ndjson"},
		{"application/octet-stream", isJSON, "audio/x-raw", "raw application/octet-stream"},
		{"text/plain", isJSON, "audio/x-raw", "raw text/plain"},
		{"audio/x-raw", isJSON, "audio/x-raw", "raw audio/x-raw"},
		{"Audio/*", isJSON, "audio/x-raw; rate=8000", "raw audio/x-raw; rate=8000"},
		{"text/plain", isJSON, "text/plain; charset=iso-8859-1", "raw text/plain; charset=iso-8859-1"},
		{"application/octet-stream", "", "application/octet-stream; rate=1", "raw application/octet-stream; rate=1"},
		{"application/octet-stream", "", "text/plain; charset=iso-8859-1", "raw application/octet-stream"},
		{"application/json, text/plain, */*", "", "", "json"},
		{"text/plain, */*", isJSON, "", "raw text/plain"},
		// Quality.
		{"application/json;q=0.5, text/plain", "", "", "raw text/plain"},
		{"application/json;q=0.999, text/plain;q=1.000", "", "", "raw text/plain"},
		{"text/plain, application/x-ndjson, application/json", "", "", "json"},
		{"text/plain, text/event-stream", "", "", "sse"},
		{"text/*, text/event-stream;q=0", "", "", "raw text/plain"},
		{"text/*;q=0.3, text/plain;q=0.2, text/event-stream;q=0.1", "", "", "raw text/plain"},
		{"application/json;q=0, */*", isJSON, "", "form"},
		{"application/octet-stream;q=0, */*", "", "", "json"},
		{"audio/x-raw;q=0, */*", "", "audio/x-raw", "json"},
		{"application/octet-stream;q=0, */*", "", "audio/x-raw", "raw audio/x-raw mirrored"},
		{"application/octet-stream;q=0, text/plain;q=0, */*", "", "", "json"},
		{"application/json ; Q=0.2 , text/plain ; q=0.1", "", "", "json"},
		{"application/json;v=\"a,b;q=0\";q=0.5", "", "", "json"},
		// What clients write beside RFC 9110; the first is the default of older Java.
		{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", isJSON, "", "json mirrored"},
		{"*", isJSON, "", "json mirrored"},
		{"*;q=.2, text/plain;q=.3", isJSON, "", "raw text/plain"},
		{"application/json;q=.2, text/plain;q=0.19", "", "", "json"},
		{"application/json;q=.2, text/plain;q=0.21", "", "", "raw text/plain"},
		{"application/json;q=1.0000, text/plain;q=0.999", "", "", "json"},
		{"application/json;q=0.1234, text/plain;q=0.123", "", "", "json"},
		{"application/json;q=0.1234, text/plain;q=0.125", "", "", "raw text/plain"},
		{"application/json;q=0.00001", "", "", "json"},
		// A weight that is none is 1, a range that is none matches nothing.
		{"application/json;q=2, text/plain;q=0.9", "", "", "json"},
		{"application/json;q=1.001, text/plain;q=0.9", "", "", "json"},
		{"application/json;q=x, text/plain;q=0.9", "", "", "json"},
		{"application/json;q=-1, text/plain;q=0.9", "", "", "json"},
		{"application/json;q=0.5x, text/plain;q=0.9", "", "", "json"},
		{"application/json;q=., text/plain;q=0.9", "", "", "json"},
		{"application/json;q=, text/plain;q=0.9", "", "", "json"},
		{"application/json;q, text/plain;q=0.9", "", "", "json"},
		{"*/json, text/plain", "", "", "raw text/plain"},
		{"json, text/plain", "", "", "raw text/plain"},
	} {
		headers := []string{"X-Nothing: x"}
		if tt.content != "" {
			headers = append(headers, tt.content)
		}
		if tt.accept != "" {
			headers = append(headers, "Accept: "+tt.accept)
		}
		e, err := parse(t, Options{ContentType: tt.own}, "", headers...)
		if err != nil {
			t.Errorf("Accept %q of %q: %v, want %s", tt.accept, tt.content, err, tt.want)
			continue
		}
		if got := outcome(e); got != tt.want {
			t.Errorf("Accept %q of %q: %s, want %s", tt.accept, tt.content, got, tt.want)
		}
		if stream := e.reply == sseReply || e.reply == ndjsonReply; e.Stream != stream {
			t.Errorf("Accept %q: Stream is %v, want %v", tt.accept, e.Stream, stream)
		}
	}
}

func TestTypesThatAreNeverGivenAreRefusedBeforeTheCall(t *testing.T) {
	for _, accept := range []string{
		"image/png", "text/html", "application/xml;q=0.9, image/*", "*/*;q=0", "application/json;q=0",
		"json", "application/jsonx", "audio/x-raw", "application/json;q=0.0000", "*/*;q=.0", "*;q=0", "**", "*;q=0, */*;q=0.",
	} {
		_, err := parse(t, Options{}, "", isJSON, "Accept: "+accept)
		e := wantError(t, err, gateway.NotAcceptable, "", "application/json, multipart/form-data, text/event-stream, application/x-ndjson, application/octet-stream, text/plain")
		if e.Executed() != gateway.No {
			t.Errorf("Accept %s: executed %s, want no", accept, e.Executed())
		}
	}
	_, err := parse(t, Options{ContentType: "audio/x-raw"}, "", "Accept: audio/wav")
	wantError(t, err, gateway.NotAcceptable, "", "text/plain, audio/x-raw")
}

func TestSeveralAcceptHeadersAreOne(t *testing.T) {
	e := mustParse(t, Options{}, "", "Accept: application/json;q=0.1", "Accept: text/plain")
	if got := outcome(e); got != "raw text/plain" {
		t.Errorf("got %s", got)
	}
}

func TestReplyParameterBeatsAcceptWhichBeatsTheCatalogue(t *testing.T) {
	for _, tt := range []struct {
		query, accept string
		catalogue     gateway.Encoding
		want          string
		as            gateway.Encoding
	}{
		{"", "application/json", "", "json", ""},
		{"", "application/json", gateway.Base64, "json", gateway.Base64},
		{"reply=text", "application/json", gateway.Base64, "json", gateway.Text},
		{"reply=json", "", gateway.Base64, "json", gateway.JSON},
		{"reply=base64", "text/plain", "", "json", gateway.Base64},
		{"reply=base64", "multipart/form-data", "", "json", gateway.Base64},
		{"reply=base64", "image/png", "", "json", gateway.Base64},
		{"reply=base64", "text/event-stream", "", "sse", gateway.Base64},
		{"reply=json", "application/x-ndjson", gateway.Text, "ndjson", gateway.JSON},
		{"reply=raw", "application/json", "", "raw audio/x-raw", ""},
		{"reply=raw", "text/event-stream", "", "raw audio/x-raw", ""},
		{"reply=raw", "text/plain", "", "raw text/plain", ""},
		{"reply=raw", "application/octet-stream", "", "raw application/octet-stream", ""},
		{"reply=raw", "image/png", "", "raw audio/x-raw", ""},
	} {
		e := mustParse(t, Options{ContentType: "audio/x-raw", Reply: tt.catalogue}, tt.query, "Accept: "+tt.accept)
		if got := outcome(e); got != tt.want || e.as != tt.as {
			t.Errorf("?%s Accept %s: %s as %q, want %s as %q", tt.query, tt.accept, got, e.as, tt.want, tt.as)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{"*/*", "application/json;q=0.5, text/*", `a/b;c="d,e`, ";q=1,,", "text/plain;q=0.0001", "*/*;q=0,a", "*; q=.2", "*/*;q=1.0000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, accept string) {
		e, err := parse(t, Options{ContentType: "audio/x-raw"}, "", isJSON, "Accept: "+accept)
		if err != nil {
			wantError(t, err, gateway.NotAcceptable, "", "audio/x-raw")
			return
		}
		if types := []string{typeOctets, typeText, "audio/x-raw"}; !slices.Contains(types, e.raw) {
			t.Errorf("Accept %q makes a reply of type %q, want one of %q", accept, e.raw, types)
		}
		if !strings.ContainsAny(accept, "/*") && strings.Trim(accept, " \t,") != "" {
			t.Errorf("Accept %q names no type and is accepted", accept)
		}
	})
}

// A stream is answered before there is a whole reply, of which a frame could be
// picked.
func TestWhoAsksForAFrameIsOfferedNoStream(t *testing.T) {
	for _, accept := range []string{"text/event-stream", "application/x-ndjson;q=0.5"} {
		_, err := parse(t, Options{}, "frame=0", "Accept: "+accept)
		wantError(t, err, gateway.NotAcceptable, "", "application/json, multipart/form-data, application/octet-stream, text/plain")
	}
	if e := mustParse(t, Options{}, "frame=0", "Accept: text/*"); e.Stream || e.raw != typeText {
		t.Errorf("text/* gives a stream (%v) or %s, want text/plain", e.Stream, e.raw)
	}
	if e := mustParse(t, Options{}, "frame=0", "Accept: text/event-stream, application/json;q=0.1"); e.Stream || e.reply != jsonReply {
		t.Errorf("a stream, or else JSON, gives %+v, want JSON", e)
	}
}
