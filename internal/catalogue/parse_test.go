package catalogue_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mdpgateway/internal/catalogue"
	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/ijson"
)

// parse reads a file's services, as if its brokers were hall1 and hall2, and
// calls might take 5 min.
func parse(t *testing.T, file string) (*catalogue.Catalogue, error) {
	t.Helper()
	var doc struct{ Services yaml.Node }
	if err := yaml.Unmarshal([]byte(file), &doc); err != nil {
		t.Fatalf("the file is no YAML: %v", err)
	}
	if doc.Services.IsZero() {
		return catalogue.Parse(nil, catalogue.Defaults{})
	}
	return catalogue.Parse(&doc.Services, catalogue.Defaults{
		Brokers: []string{"hall1", "hall2"}, Loudify: []string{"hall2"}, MaxTimeout: 5 * time.Minute,
		MaxReply: 1 << 30, MaxBody: 1000, MaxVars: 100, CheckBody: codec.CheckEnvelope,
	})
}

func mustParse(t *testing.T, file string) *catalogue.Catalogue {
	t.Helper()
	c, err := parse(t, file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const full = `
services:
  lora_decode:
    description: demodulates one LoRa frame of I/Q samples
    brokers: [hall1]
    timeout: 30s
    max_timeout: 2m
    vars: python
    vars_schema: {type: object, required: [sf], properties: {sf: {type: integer, minimum: 7, maximum: 12}}}
    example: {body: AAEC, encoding: base64, vars: {sf: 7}}
    max_frames: 1
    max_reply: 4MiB
    reply: base64
    content_type: audio/x-raw
    max_in_flight: 32
    reuse: false
    errors:
      - {frame: 0, equals: "\u0006", reason: flowgraph_failed, detail: the flowgraph failed or timed out}
      - {frame: 1, equals: decode_error, reason: no_frame, status: 422, detail: no frame was found in the samples}
  echo:
`

func TestParseReadsEveryKey(t *testing.T) {
	c := mustParse(t, full)
	if got, want := c.Names(), []string{"echo", "lora_decode"}; !reflect.DeepEqual(got, want) {
		t.Errorf("names are %q, want %q", got, want)
	}
	got, ok := c.Get("lora_decode")
	if !ok {
		t.Fatal("lora_decode is not there")
	}
	schema := `{"type":"object","required":["sf"],"properties":{"sf":{"type":"integer","minimum":7,"maximum":12}}}`
	if got.VarsSchema == nil || string(got.VarsSchema.JSON()) != schema {
		t.Errorf("schema is %s, want %s", got.VarsSchema.JSON(), schema)
	}
	want := catalogue.Service{
		Name: "lora_decode", Description: "demodulates one LoRa frame of I/Q samples", Brokers: []string{"hall1"},
		Timeout: 30 * time.Second, MaxTimeout: 2 * time.Minute, Vars: flowgraph.Python, VarsSchema: got.VarsSchema,
		Example:   []byte(`{"body":"AAEC","encoding":"base64","vars":{"sf":7}}`),
		MaxFrames: 1, MaxReply: 4 << 20, Reply: gateway.Base64, ContentType: "audio/x-raw", MaxInFlight: 32, Reuse: gateway.ReuseNever,
		Errors: []catalogue.Rule{
			{Frame: 0, Equals: []byte("\x06"), Reason: "flowgraph_failed", Detail: "the flowgraph failed or timed out"},
			{Frame: 1, Equals: []byte("decode_error"), Reason: "no_frame", Status: 422, Detail: "no frame was found in the samples"},
		},
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
}

func TestParseFillsInDefaults(t *testing.T) {
	for _, file := range []string{"services: {echo: }", "services: {echo: {}}", "services: {echo: {timeout: , errors: , reuse: , vars: }}"} {
		got, ok := mustParse(t, file).Get("echo")
		if want := (catalogue.Service{Name: "echo", Reply: gateway.Auto}); !ok || !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
	mustParse(t, "services: {echo: {timeout: 2m, max_timeout: 2m}}")
	mustParse(t, "services: {echo: {timeout: 5m, max_timeout: 10m}}") // both maxima hold
	var services yaml.Node
	if err := yaml.Unmarshal([]byte("{a: , b: {vars: python}}"), &services); err != nil {
		t.Fatal(err)
	}
	c, err := catalogue.Parse(services.Content[0], catalogue.Defaults{Vars: flowgraph.JSON})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := c.Get("a")
	b, _ := c.Get("b")
	if a.Vars != flowgraph.JSON || b.Vars != flowgraph.Python {
		t.Errorf("vars are %s and %s, want the default json and the given python", a.Vars, b.Vars)
	}
}

func TestParseTakesNoServices(t *testing.T) {
	for _, file := range []string{"{}", "services:", "services: {}"} {
		if c := mustParse(t, file); len(c.Names()) != 0 {
			t.Errorf("%q has the services %q", file, c.Names())
		}
	}
}

func TestParseFollowsAliases(t *testing.T) {
	c := mustParse(t, `
services:
  one: &one {timeout: &t 3s, vars_schema: &schema {type: object}, brokers: [&b hall1]}
  two: *one
  three: {timeout: *t, vars_schema: *schema, brokers: [*b]}
`)
	for _, name := range c.Names() {
		s, _ := c.Get(name)
		if s.Name != name || s.Timeout != 3*time.Second || string(s.VarsSchema.JSON()) != `{"type":"object"}` || s.Brokers[0] != "hall1" {
			t.Errorf("%s is %+v", name, s)
		}
	}
}

func TestParseRefusesInOneLine(t *testing.T) {
	deep := strings.Repeat("{not: ", 70) + "true" + strings.Repeat("}", 70)
	const unsent = ", want none of 401, 405, 407, 408, 415, 417, 421, 425, 426, 429, 499, 503: they say that the request was not sent, or how to send it again"
	for _, tt := range []struct{ services, want string }{
		{`[echo]`, `services is a list, want keys and values`},
		{`echo`, `services is "echo", want keys and values`},
		{`{mmi.service: {}}`, `services.mmi.service is no name of a service: mmi.* belongs to the broker`},
		{`{"a b": {}}`, `services.a b is no name of a service: the service name has byte 0x20 at offset 1, want printable ASCII without spaces`},
		{`{echo: {}, echo: {}}`, `services.echo is there twice`},
		{`{[a]: {}}`, `services has a key that is no plain text`},
		{`{a: &a {}, b: {<<: *a}}`, `services.b has a key that is no plain text`},
		{`{echo: 7}`, `services.echo is "7", want keys and values`},
		{`{echo: {timout: 3s}}`, `services.echo.timout is no key here, did you mean timeout? want one of description, brokers, timeout, max_timeout, vars, vars_schema, example, max_frames, reply, max_reply, content_type, max_in_flight, reuse, jobs, jobs_in_flight, jobs_timeout, errors`},
		{`{echo: {reuse: true, reuse: false}}`, `services.echo.reuse is there twice`},

		{`{echo: {description: [a]}}`, `services.echo.description is a list, want text in quotes`},
		{`{echo: {description: 7}}`, `services.echo.description is "7", want text in quotes`},
		{`{echo: {brokers: hall1}}`, `services.echo.brokers is "hall1", want a list of names`},
		{`{echo: {brokers: [hall1, hall9]}}`, `services.echo.brokers[1] is "hall9", want one of hall1, hall2`},
		{`{echo: {brokers: [{}]}}`, `services.echo.brokers[0] is a mapping, want one of hall1, hall2`},
		{`{echo: {timeout: 30}}`, `services.echo.timeout is "30", want a duration above 0 such as 25s or 500ms`},
		{`{echo: {timeout: {}}}`, `services.echo.timeout is a mapping, want a duration above 0 such as 25s or 500ms`},
		{`{echo: {max_frames: [1]}}`, `services.echo.max_frames is a list, want a whole number from 1 to 10000`},
		{`{echo: {timeout: 0s}}`, `services.echo.timeout is "0s", want a duration above 0 such as 25s or 500ms`},
		{`{echo: {max_timeout: -1s}}`, `services.echo.max_timeout is "-1s", want a duration above 0 such as 25s or 500ms`},
		{`{echo: {timeout: 3m, max_timeout: 2m}}`, `services.echo.timeout is 3m0s, want at most max_timeout, which is 2m0s`},
		{`{echo: {timeout: 10m}}`, `services.echo.timeout is 10m0s, want at most --max-timeout, which is 5m0s`},
		{`{echo: {timeout: 10m, max_timeout: 20m}}`, `services.echo.timeout is 10m0s, want at most --max-timeout, which is 5m0s`},
		{`{lora_decode: {vars: pickle}}`, `services.lora_decode.vars is "pickle", want one of python, json, none`},
		{`{echo: {vars: {}}}`, `services.echo.vars is a mapping, want one of python, json, none`},
		{`{echo: {reply: raw}}`, `services.echo.reply is "raw", want one of auto, text, json, base64`},
		{`{echo: {max_frames: many}}`, `services.echo.max_frames is "many", want a whole number from 1 to 10000`},
		{`{echo: {max_reply: much}}`, `services.echo.max_reply is "much", want a number of bytes of at least 1, such as 65536 or 64MiB`},
		{`{echo: {max_reply: 2GiB}}`, `services.echo.max_reply is 2GiB, want at most --max-reply, which is 1GiB`},
		{`{echo: {max_frames: 0}}`, `services.echo.max_frames is "0", want a whole number from 1 to 10000`},
		{`{echo: {max_in_flight: 1.5}}`, `services.echo.max_in_flight is "1.5", want a whole number from 1 to 1000000`},
		{`{echo: {max_in_flight: 1000001}}`, `services.echo.max_in_flight is "1000001", want a whole number from 1 to 1000000`},
		{`{echo: {reuse: yes}}`, `services.echo.reuse is "yes", want auto, true or false`},

		{`{echo: {content_type: audio}}`, `services.echo.content_type is "audio", want a media type such as audio/x-raw`},
		{`{echo: {content_type: "audio/*"}}`, `services.echo.content_type is "audio/*", want a media type such as audio/x-raw`},
		{`{echo: {content_type: [audio/wav]}}`, `services.echo.content_type is a list, want a media type such as audio/x-raw`},
		{`{echo: {content_type: "text/html; charset=utf-8"}}`, `services.echo.content_type is "text/html; charset=utf-8", want a type that no browser runs, such as audio/x-raw`},
		{`{echo: {content_type: multipart/mixed}}`, `services.echo.content_type is "multipart/mixed", want the type of one plain frame, such as audio/x-raw`},

		{`{echo: {errors: {}}}`, `services.echo.errors is a mapping, want a list of {frame, equals, reason, status, detail}`},
		{`{echo: {errors: [6]}}`, `services.echo.errors[0] is "6", want keys and values`},
		{`{echo: {errors: [{equal: a}]}}`, `services.echo.errors[0].equal is no key here, did you mean equals? want one of frame, equals, reason, status, detail`},
		{`{echo: {errors: [{equals: a, reason: b}, {reason: c}]}}`, `services.echo.errors[1] has no equals, want the bytes of the frame`},
		{`{echo: {errors: [{equals: 6, reason: b}]}}`, `services.echo.errors[0].equals is "6", want text in quotes`},
		{`{echo: {errors: [{equals: "6"}]}}`, `services.echo.errors[0].reason is "", want 1 to 64 of a-z, 0-9 and _, the first a letter`},
		{`{echo: {errors: [{equals: "6", reason: No Frame}]}}`, `services.echo.errors[0].reason is "No Frame", want 1 to 64 of a-z, 0-9 and _, the first a letter`},
		{`{echo: {errors: [{equals: "6", reason: r` + strings.Repeat("0", 64) + `}]}}`, `services.echo.errors[0].reason is "r` + strings.Repeat("0", 64) + `", want 1 to 64 of a-z, 0-9 and _, the first a letter`},
		{`{echo: {errors: [{frame: -1}]}}`, `services.echo.errors[0].frame is "-1", want a whole number from 0 to 10000`},
		{`{echo: {errors: [{status: 200}]}}`, `services.echo.errors[0].status is "200", want a whole number from 400 to 599`},
		{`{echo: {errors: [{status: 401}]}}`, `services.echo.errors[0].status is "401"` + unsent},
		{`{echo: {errors: [{status: 405}]}}`, `services.echo.errors[0].status is "405"` + unsent},
		{`{echo: {errors: [{status: 407}]}}`, `services.echo.errors[0].status is "407"` + unsent},
		{`{echo: {errors: [{status: 408}]}}`, `services.echo.errors[0].status is "408"` + unsent},
		{`{echo: {errors: [{status: 415}]}}`, `services.echo.errors[0].status is "415"` + unsent},
		{`{echo: {errors: [{status: 417}]}}`, `services.echo.errors[0].status is "417"` + unsent},
		{`{echo: {errors: [{status: 421}]}}`, `services.echo.errors[0].status is "421"` + unsent},
		{`{echo: {errors: [{status: 425}]}}`, `services.echo.errors[0].status is "425"` + unsent},
		{`{echo: {errors: [{status: 426}]}}`, `services.echo.errors[0].status is "426"` + unsent},
		{`{echo: {errors: [{status: 429}]}}`, `services.echo.errors[0].status is "429"` + unsent},
		{`{echo: {errors: [{status: 499}]}}`, `services.echo.errors[0].status is "499"` + unsent},
		{`{echo: {errors: [{status: 503}]}}`, `services.echo.errors[0].status is "503"` + unsent},
		{`{echo: {errors: [` + strings.Repeat("{},", 101) + `]}}`, `services.echo.errors has 101 items, want at most 100`},

		{`{echo: {vars_schema: yes please}}`, `services.echo.vars_schema is no schema: it is no mapping`},
		{`{echo: {vars: none, vars_schema: {}}}`, `services.echo.vars_schema is given, but vars is none`},
		{`{echo: {vars_schema: {properties: {sf: {type: int}}}}}`, `services.echo.vars_schema is no schema: #/properties/sf/type: fits none of the alternatives: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'; got string, want array`},
		{`{echo: {vars_schema: {minimum: 0x10}}}`, `services.echo.vars_schema.minimum is "0x10", want what JSON can hold: text, a number as JSON writes it, true, false or null`},
		{`{echo: {vars_schema: {default: [.nan]}}}`, `services.echo.vars_schema.default[0] is ".nan", want what JSON can hold: text, a number as JSON writes it, true, false or null`},
		{`{echo: {vars_schema: {$schema: "http://json-schema.org/draft-07/schema#"}}}`, `services.echo.vars_schema is no schema: $schema is "http://json-schema.org/draft-07/schema#", want https://json-schema.org/draft/2020-12/schema`},
		{`{echo: {vars_schema: {$ref: "http://127.0.0.1:1/a.json"}}}`, `services.echo.vars_schema is no schema: failing loading "http://127.0.0.1:1/a.json": "http://127.0.0.1:1/a.json" is outside this schema, and nothing is loaded from elsewhere`},
		{`{echo: {vars_schema: {$ref: "file:///etc/hostname"}}}`, `services.echo.vars_schema is no schema: failing loading "file:///etc/hostname": "file:///etc/hostname" is outside this schema, and nothing is loaded from elsewhere`},
		{`{echo: {vars_schema: {$ref: "../x.json"}}}`, `services.echo.vars_schema is no schema: #/$ref: it is "../x.json", want a part of this schema, such as #/$defs/name`},
		{`{echo: {vars_schema: {properties: {a: {items: {$dynamicRef: /etc/passwd}}}}}}`, `services.echo.vars_schema is no schema: #/properties/a/items/$dynamicRef: it is "/etc/passwd", want a part of this schema, such as #/$defs/name`},
		{`{echo: {vars_schema: {requird: [sf]}}}`, `services.echo.vars_schema is no schema: #/requird: it is no keyword, did you mean required?`},
		{`{echo: {vars_schema: {anyOf: [true, {properties: {a/b: {nullable: true}}}]}}}`, `services.echo.vars_schema is no schema: #/anyOf/1/properties/a~1b/nullable: it is no keyword, want those of JSON Schema 2020-12, or x-…`},
		{`{echo: {vars_schema: {$defs: {a: {minimun: 1}}}}}`, `services.echo.vars_schema is no schema: #/$defs/a/minimun: it is no keyword, did you mean minimum?`},
		{`{echo: {vars_schema: {pattern: "(?=x)"}}}`, "services.echo.vars_schema is no schema: #/pattern: '(?=x)' is not valid regex: error parsing regexp: invalid or unsupported Perl syntax: `(?=`"},
		{`{echo: {vars_schema: ` + deep + `}}`, `services.echo.vars_schema` + strings.Repeat(".not", 65) + ` is too large, want at most 20000 values in 64 levels`},

		{`{echo: {example: hello}}`, `services.echo.example is "hello", want keys and values`},
		{`{echo: {example: {data: 1}}}`, `services.echo.example.data is no key here, want one of body, frames, encoding, vars`},
		{`{echo: {example: {body: a, frames: [b]}}}`, `services.echo.example is refused as a request: #/frames: body and frames are both there, want one of them`},
		{`{echo: {example: {body: 3, encoding: text}}}`, `services.echo.example is refused as a request: #/body: it is a number, and the encoding text wants a string`},
		{`{echo: {example: {body: "A", encoding: base64}}}`, `services.echo.example is refused as a request: #/body: it is no base64 from byte 0 on: want the standard alphabet, with padding`},
		{`{echo: {example: {encoding: base64}}}`, `services.echo.example is refused as a request: #/encoding: encoding is there without body`},
		{`{echo: {example: {frames: [{encoding: text}]}}}`, `services.echo.example is refused as a request: #/frames/0: data is missing`},
		{`{echo: {example: {vars: }}}`, `services.echo.example is refused as a request: #/vars: it is null, want an object`},
		{`{echo: {example: {frames: [a, b]}}}`, `services.echo.example has 2 frames, and the service takes at most 1`},
		{`{echo: {vars: json, max_frames: 2, example: {frames: [a, b, c]}}}`, `services.echo.example has 3 frames, and the service takes at most 2`},
		{`{echo: {vars: json, example: {frames: [a, b]}}}`, `services.echo.example has 2 frames, and the service takes at most 1`},
		{`{echo: {example: {body: ` + strings.Repeat("x", 1000) + `}}}`, `services.echo.example has 1011 bytes as JSON, want at most --max-body, which is 1000`},
		{`{echo: {example: {vars: {a: ` + strings.Repeat("x", 100) + `}}}}`, `services.echo.example.vars has 109 bytes as a frame, want at most --max-vars, which is 100`},
		{`{echo: {vars: none, example: {vars: {}}}}`, `services.echo.example.vars is given, but vars is none`},
		{`{echo: {vars_schema: {required: [sf]}, example: {body: a}}}`, `services.echo.example has no vars, and without does not match vars_schema: #/vars: missing property 'sf'`},
		{`{echo: {example: {vars: [7]}}}`, `services.echo.example is refused as a request: #/vars: it is an array, want an object`},
		{`{echo: {example: {vars: {x: !!float 1.0e+999}}}}`, `services.echo.example.vars can't be sent: #/x: 1.0e+999 is out of a float's range`},
		{`{echo: {vars_schema: {required: [sf]}, example: {vars: {}}}}`, `services.echo.example.vars does not match vars_schema: #/vars: missing property 'sf'`},
	} {
		c, err := parse(t, "# a comment\n\nservices: "+tt.services)
		var e *catalogue.Error
		if !errors.As(err, &e) {
			t.Errorf("%.200s: got %v, %v; want an *Error", tt.services, c, err)
			continue
		}
		if e.Error() != tt.want || e.Line != 3 {
			t.Errorf("%.200s:\ngot  line %d: %s\nwant line 3: %s", tt.services, e.Line, e, tt.want)
		}
	}
}

func TestAnExampleMayHaveTheFramesThatItsBrokersTake(t *testing.T) {
	mustParse(t, `services: {echo: {vars: json, brokers: [hall1], example: {frames: [a, b]}}}`)
}

// Aliases make a short file a long schema.
func TestParseBoundsWhatAliasesUnfold(t *testing.T) {
	_, err := parse(t, `
services:
  bomb:
    vars_schema:
      a: &a [1,1,1,1,1,1,1,1,1,1]
      b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]
      c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]
      d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]
      e: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]
`)
	if err == nil || !strings.Contains(err.Error(), "is too large, want at most 20000 values in 64 levels") {
		t.Errorf("got %v", err)
	}
}

func TestParseTakesPlainContentTypes(t *testing.T) {
	for given, want := range map[string]string{
		"audio/x-raw": "audio/x-raw", "Image/PNG": "image/png", "text/plain; Charset=UTF-8": "text/plain; charset=UTF-8",
		"application/json": "application/json", "text/csv": "text/csv", "application/octet-stream": "application/octet-stream",
		"application/vnd.sigmf+json": "application/vnd.sigmf+json",
	} {
		s, _ := mustParse(t, `services: {echo: {content_type: "`+given+`"}}`).Get("echo")
		if s.ContentType != want {
			t.Errorf("%s is read as %q, want %q", given, s.ContentType, want)
		}
	}
}

func TestParseRefusesActiveContentTypes(t *testing.T) {
	for _, active := range []string{
		"text/html", "TEXT/HTML", "application/xhtml+xml", "image/svg+xml", "image/svg", "text/xml", "application/xml", "application/atom+xml",
		"text/javascript", "application/javascript", "application/x-javascript", "application/ecmascript", "text/jscript",
		"text/vbscript", "application/postscript", "text/xsl", "application/pdf", "application/x-shockwave-flash",
		"application/java-archive", "application/wasm", "application/hta", "text/css", "text/cache-manifest",
		"application/rdf+xml", "application/mathml+xml", "multipart/form-data", "multipart/related", "message/rfc822", "message/http",
		"text/event-stream", "application/x-ndjson",
	} {
		if _, err := parse(t, `services: {echo: {content_type: "`+active+`"}}`); err == nil {
			t.Errorf("%s is taken", active)
		}
	}
}

// FuzzParse holds that no file ends the program, and that errors are one line.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, "services: [", "services: {a: {errors: [{}]}}", "services: {a: &a {example: *a}}", "services: {a: {vars_schema: {$ref: '#'}}}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		var doc struct{ Services yaml.Node }
		if yaml.Unmarshal(file, &doc) != nil || doc.Services.IsZero() {
			return
		}
		c, err := catalogue.Parse(&doc.Services, catalogue.Defaults{})
		if err == nil {
			for _, name := range c.Names() {
				s, _ := c.Get(name)
				s.CheckVars(ijson.MustObject(`{"sf":[1,2.5,{"a":null}]}`))
			}
			return
		}
		if e, ok := errors.AsType[*catalogue.Error](err); !ok || strings.ContainsAny(e.Text, "\r\n") {
			t.Errorf("%q fails with %#v, want an *Error of one line", file, err)
		}
	})
}

// TestSchemasMayHaveAnnotations has what looks like a keyword and is none.
func TestSchemasMayHaveAnnotations(t *testing.T) {
	mustParse(t, `services: {a: {vars_schema: {title: a, description: b, $comment: c, deprecated: true, readOnly: true, x-unit: {requird: Hz},
  default: {requird: 1}, examples: [{requird: 1}], const: {requird: 1}, enum: [{requird: 1}], properties: {requird: true, $ref: {type: string}},
  $defs: {requird: {}}, definitions: {b: {$ref: "#/$defs/requird"}}, dependentRequired: {requird: [sf]}, format: x}}}`)
}
