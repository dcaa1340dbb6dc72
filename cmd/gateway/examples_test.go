package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mdpgateway/api"
)

// checkExamples says which examples of an OpenAPI document in JSON are not of the schema beside them. kin-openapi's own
// check compiles a schema anew wherever an example is referred to, which takes 20 s of CPU under the race detector.
func checkExamples(document []byte) error {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource("openapi.json", doc); err != nil {
		return err
	}
	x := examplesChecker{doc: doc, compiler: c}
	x.walk("", doc)
	if x.checked < 80 {
		x.errs = append(x.errs, fmt.Errorf("%d examples were checked, want all of them", x.checked))
	}
	return errors.Join(x.errs...)
}

type examplesChecker struct {
	doc      any
	compiler *jsonschema.Compiler
	checked  int
	errs     []error
}

// walk looks for examples below a JSON pointer: beside a schema, or in one.
func (x *examplesChecker) walk(at string, v any) {
	switch v := v.(type) {
	case []any:
		for i, element := range v {
			x.walk(fmt.Sprint(at, "/", i), element)
		}
	case map[string]any:
		inSchema := strings.Contains(at, "/schema") && !strings.HasSuffix(at, "/properties")
		schema := at
		if _, beside := v["schema"]; beside {
			schema, inSchema = at+"/schema", true
		}
		for name, member := range v {
			switch {
			case name == "example" && inSchema:
				x.check(schema, member)
			case name == "examples" && inSchema:
				many, _ := member.(map[string]any)
				for _, e := range many {
					x.check(schema, x.resolved(e).(map[string]any)["value"])
				}
			case !slices.Contains([]string{"example", "examples", "const", "default", "enum"}, name) || strings.HasSuffix(at, "/properties"):
				x.walk(at+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), member)
			}
		}
	}
}

// resolved follows a reference.
func (x *examplesChecker) resolved(v any) any {
	ref, _ := v.(map[string]any)["$ref"].(string)
	path, isRef := strings.CutPrefix(ref, "#/")
	if !isRef {
		return v
	}
	v = x.doc
	for name := range strings.SplitSeq(path, "/") {
		v = v.(map[string]any)[name]
	}
	return v
}

func (x *examplesChecker) check(schema string, example any) {
	x.checked++
	s, err := x.compiler.Compile("openapi.json#" + schema)
	if err == nil {
		err = s.Validate(example)
	}
	if err != nil {
		x.errs = append(x.errs, fmt.Errorf("an example of %s: %w", schema, err))
	}
}

// Each change makes an example one of another schema: of a header, a parameter, a body, an answer, a schema.
func TestAnExampleOfAnotherSchemaIsFound(t *testing.T) {
	t.Parallel()
	for _, change := range [][2]string{
		{`"example": "GET, HEAD, POST"`, `"example": 5`},
		{`"example": "base64"`, `"example": "base63"`},
		{`"example": "samples"`, `"example": ["samples"]`},
		{`"executed": "no"`, `"executed": "never"`},
		{`"example": "#/vars/sf"`, `"example": "vars/sf"`},
	} {
		changed := bytes.Replace(api.OpenAPIJSON, []byte(change[0]), []byte(change[1]), 1)
		if bytes.Equal(changed, api.OpenAPIJSON) {
			t.Errorf("the document has no %s", change[0])
		} else if checkExamples(changed) == nil {
			t.Errorf("%s in place of %s is taken", change[1], change[0])
		}
	}
}
