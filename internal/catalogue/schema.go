package catalogue

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"mdpgateway/internal/flowgraph"
	"mdpgateway/internal/gateway"
	"mdpgateway/internal/ijson"
	"mdpgateway/internal/yamlnode"
)

const (
	draft     = "https://json-schema.org/draft/2020-12/schema"
	schemaURL = "urn:vars_schema"

	maxFaults = 20  // of one object; a long list may have one for each element
	maxDetail = 300 // bytes of one fault
)

// A Schema is what vars must match: JSON Schema 2020-12, compiled.
type Schema struct {
	text     []byte
	compiled *jsonschema.Schema
}

// JSON returns the schema's text. It is shared: do not write to it.
func (s *Schema) JSON() []byte { return s.text }

// compile compiles a schema in JSON. The error is one line.
func compile(text []byte) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if object, ok := doc.(map[string]any); !ok {
		return nil, errors.New("it is no mapping")
	} else if named, ok := object["$schema"]; ok && named != draft {
		return nil, fmt.Errorf("$schema is %q, want %s", named, draft)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(schemaURL)
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if violation, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			fault := faults(nil, violation)[0]
			return nil, fmt.Errorf("%s: %s", fault.Pointer, fault.Detail)
		}
	}
	if err == nil {
		err = checkKeywords("", doc)
	}
	if err != nil {
		return nil, err
	}
	return &Schema{text, compiled}, nil
}

// noLoader keeps a schema from reaching for files or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%q is outside this schema, and nothing is loaded from elsewhere", url)
}

// check says where vars do not match.
func (s *Schema) check(vars ijson.Object) []gateway.Fault {
	value, err := decode(vars)
	if err != nil {
		return []gateway.Fault{{Pointer: "#/vars", Detail: err.Error()}}
	}
	violation, ok := errors.AsType[*jsonschema.ValidationError](s.compiled.Validate(value))
	if !ok {
		return nil
	}
	all := faults(nil, violation, "vars")
	slices.SortFunc(all, func(a, b gateway.Fault) int {
		return strings.Compare(a.Pointer+"\x00"+a.Detail, b.Pointer+"\x00"+b.Detail)
	})
	return all[:min(len(all), maxFaults)]
}

// decode returns the value of vars as the validator wants it: floats as such,
// which is what workers make of them, and ints exactly.
func decode(vars ijson.Object) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(vars.Text()))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	return convert(value)
}

// convert makes floats of the numbers that are. It refuses those that workers can't
// hold, which also bounds the work on them.
func convert(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case map[string]any:
		for name := range v {
			if v[name], err = convert(v[name]); err != nil {
				return nil, err
			}
		}
	case []any:
		for i := range v {
			if v[i], err = convert(v[i]); err != nil {
				return nil, err
			}
		}
	case json.Number:
		if fault := flowgraph.CheckNumber(string(v)); fault != "" {
			return nil, errors.New(fault)
		}
		if strings.ContainsAny(string(v), ".eE") {
			return v.Float64()
		}
	}
	return value, nil
}

// faults appends the places of a violation, as pointers that begin with base.
// Where alternatives were offered, the place is that of the choice: each
// alternative alone may be wide of what the caller meant.
func faults(dst []gateway.Fault, v *jsonschema.ValidationError, base ...string) []gateway.Fault {
	detail := ""
	switch v.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf:
		if len(v.Causes) > 0 {
			detail = "fits none of the alternatives: " + alternatives(v)
		}
	}
	if detail == "" && len(v.Causes) > 0 {
		for _, cause := range v.Causes {
			dst = faults(dst, cause, base...)
		}
		return dst
	}
	if detail == "" {
		detail = message(v)
	}
	var at jsontext.Pointer
	for _, token := range append(slices.Clip(base), v.InstanceLocation...) {
		at = at.AppendToken(token)
	}
	return append(dst, gateway.Fault{Pointer: ijson.Fragment(at), Detail: shorten(detail)})
}

func alternatives(v *jsonschema.ValidationError) string {
	var all []string
	for _, cause := range v.Causes {
		for _, fault := range faults(nil, cause) {
			all = append(all, fault.Detail)
		}
	}
	return strings.Join(all, "; ")
}

// message returns the validator's words for v alone.
func message(v *jsonschema.ValidationError) string {
	alone := *v
	alone.Causes = nil
	return alone.DetailedOutput().Error.String()
}

func shorten(s string) string {
	if s = yamlnode.OneLine(s); len(s) <= maxDetail {
		return s
	}
	end := maxDetail
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
