package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"mdpgateway/api"
	"mdpgateway/internal/gateway"
)

// An object is a part of the OpenAPI document.
type object = map[string]any

const (
	callPath    = "/services/{name}" // stands in the document for all services
	callPrefix  = "call_"            // of the ids of single services' operations
	schemasPath = "#/components/schemas/"

	wholeTemplate = "/services/{part1}" // to OpenAPI the same path as callPath
)

// encodedInPaths are characters that a path has only percent-encoded.
var encodedInPaths = regexp.MustCompile(`[^A-Za-z0-9._~$&+=:@-]+`)

// servicePath returns the path that calls a service. For what a path has only
// percent-encoded there are parameters of one value, which clients encode: the page at
// /docs shows nothing at all if a path of the document has a percent sign.
func servicePath(name string) (path string, parts []object) {
	path = "/services/" + encodedInPaths.ReplaceAllStringFunc(name, func(part string) string {
		id := "part" + strconv.Itoa(len(parts)+1)
		parts = append(parts, object{
			"name": id, "in": "path", "required": true, "schema": object{"type": "string", "enum": []string{part}}, "example": part,
		})
		return "{" + id + "}"
	})
	return path, parts
}

// maxLive bounds the services beside the catalogue that a document shows: workers give
// them names, and each takes 0.7 ms to describe.
const maxLive = 200

// openAPIJSON answers GET /openapi.json: the contract, and a path for each service that
// the caller's key may call, if it is in the catalogue or at work.
func (a *API) openAPIJSON(w *response, r *http.Request) error {
	var shown []gateway.ServiceInfo
	live := 0
	for _, info := range a.cfg.Caller.Services() {
		if !w.pass.May(info.Name) {
			continue
		}
		if !info.Catalogued {
			if !atWork(info) || live == maxLive {
				continue
			}
			live++
		}
		shown = append(shown, info)
	}
	doc, err := a.documents.get(shown)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	serveTagged(w, r, doc.tag, bytes.NewReader(doc.body))
	return nil
}

// atWork reports whether a service has workers at a broker that tells so, or has answered a
// call. That a broker knows its name is not enough: some confirm any.
func atWork(info gateway.ServiceInfo) bool {
	return info.Live != nil && info.Live.Workers > 0 || info.LastOK != nil
}

// newDocument returns the contract with a path for each of these services.
func newDocument(shown []gateway.ServiceInfo) ([]byte, error) {
	var doc object
	if err := json.Unmarshal(api.OpenAPIJSON, &doc); err != nil {
		return nil, err
	}
	paths := dig(doc, "paths")
	call := dig(paths, callPath, "post")
	schemas := dig(doc, "components", "schemas")
	ids := takenWords(doc)
	for _, info := range shown {
		path, parts := servicePath(info.Name)
		if path == wholeTemplate || paths[path] != nil {
			continue // it is called by the path for all services
		}
		op, err := serviceOperation(call, schemas, info, operationID(info.Name, ids))
		if err != nil {
			return nil, err
		}
		paths[path] = object{"post": op}
		if len(parts) > 0 {
			dig(paths, path)["parameters"] = parts
		}
	}
	return json.Marshal(doc)
}

// dig returns the object that names lead to.
func dig(o object, names ...string) object {
	for _, name := range names {
		o, _ = o[name].(object)
	}
	return o
}

// serviceOperation returns the operation that calls one service: that of all
// services with its id, its example, and its vars wherever a request may have them.
// The schema of the vars is added to schemas.
func serviceOperation(call, schemas object, info gateway.ServiceInfo, id string) (object, error) {
	op, err := clone(call)
	if err != nil {
		return nil, err
	}
	op["operationId"] = id
	op["summary"] = "Calls " + info.Name + "."
	if info.Description != "" {
		op["description"] = info.Description
	}
	var vars varsOf
	if info.VarsSchema != nil {
		if vars, err = addVars(schemas, "vars_"+strings.TrimPrefix(id, callPrefix), info.VarsSchema); err != nil {
			return nil, err
		}
	}
	op["parameters"] = serviceParameters(op["parameters"], vars, info)
	content := dig(op, "requestBody", "content")
	for mediaType, schema := range map[string]string{"application/json": "Envelope", "multipart/form-data": "Form"} {
		body, err := clone(dig(schemas, schema))
		if err != nil {
			return nil, err
		}
		describeBody(body, vars, info)
		content[mediaType] = object{"schema": body}
	}
	if info.Example != nil {
		dig(content, "application/json")["example"] = info.Example
	}
	return op, nil
}

// varsOf says where the vars of a service are described, if they are.
type varsOf struct {
	schema   object // a reference, or nil
	required bool   // there is one that it can't do without
}

// addVars adds the schema of a service's vars to those of the document. What it
// refers to within itself is found there; one with an $id is found by that.
func addVars(schemas object, name string, schema []byte) (varsOf, error) {
	var v any
	if err := json.Unmarshal(schema, &v); err != nil {
		return varsOf{}, err
	}
	moveRefs(v, schemasPath+name)
	schemas[name] = v
	o, _ := v.(object)
	required, _ := o["required"].([]any)
	return varsOf{object{"$ref": schemasPath + name}, len(required) > 0}, nil
}

// moveRefs makes the references of a schema to its own parts follow it. Values that
// it only names, as const does, are no schemas, and neither are names of its parts.
func moveRefs(v any, to string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			moveRefs(item, to)
		}
	case object:
		if _, named := v["$id"].(string); named {
			return
		}
		if ref, _ := v["$ref"].(string); ref == "#" || strings.HasPrefix(ref, "#/") {
			v["$ref"] = to + ref[1:]
		}
		for keyword, member := range v {
			switch keyword {
			case "const", "enum", "default", "examples":
			case "properties", "patternProperties", "dependentSchemas", "$defs", "definitions":
				parts, _ := member.(object)
				for _, part := range parts {
					moveRefs(part, to)
				}
			default:
				moveRefs(member, to)
			}
		}
	}
}

// serviceParameters returns the parameters of a call to one service: the vars of a
// raw body are its own, if it has any.
func serviceParameters(all any, vars varsOf, info gateway.ServiceInfo) []any {
	parameters, _ := all.([]any)
	return slices.DeleteFunc(parameters, func(p any) bool {
		schema := dig(p.(object), "schema")
		if schema["contentSchema"] == nil {
			return false
		}
		if vars.schema != nil {
			schema["contentSchema"] = vars.schema
		}
		return info.Vars == "none"
	})
}

// describeBody makes the schema of a body that of a service's, with as many frames
// as it takes. Vars that it can't do without are required: who gives none is taken
// to give {}.
func describeBody(body object, vars varsOf, info gateway.ServiceInfo) {
	properties := dig(body, "properties")
	for _, frames := range []string{"frames", "frame"} {
		if list := dig(properties, frames); list != nil && info.MaxFrames > 0 {
			list["maxItems"] = info.MaxFrames
		}
	}
	if info.Vars == "none" {
		delete(properties, "vars")
	}
	if vars.schema != nil {
		properties["vars"] = vars.schema
	}
	if vars.required {
		body["required"] = []string{"vars"}
	}
}

// clone returns a copy that shares nothing with o.
func clone(o object) (copied object, err error) {
	text, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	return copied, err
}

// operationID returns an id of a service's operation that is a word in the
// languages which clients are generated in, and that no other has in any of them.
func operationID(name string, taken map[string]bool) string {
	word := callPrefix + strings.Map(func(c rune) rune {
		if letterOrDigit(c) {
			return c
		}
		return '_'
	}, name)
	id := word
	for n := 2; taken[bare(id)]; n++ {
		id = word + "_" + strconv.Itoa(n)
	}
	taken[bare(id)] = true
	return id
}

// takenWords returns what ids of services' operations must not be: those of the contract,
// and callPrefix before a schema, since the schema of the vars has the id's word, too.
func takenWords(doc object) map[string]bool {
	taken := map[string]bool{}
	for _, item := range dig(doc, "paths") {
		for _, op := range item.(object) {
			if op, ok := op.(object); ok {
				id, _ := op["operationId"].(string)
				taken[bare(id)] = true
			}
		}
	}
	for name := range dig(doc, "components", "schemas") {
		if rest, ok := strings.CutPrefix(bare(name), "vars"); ok {
			taken[bare(callPrefix)+rest] = true
		}
	}
	return taken
}

// bare returns the letters and digits of a word in lower case. Generators write words in
// the case of their language, so call_a_b, call_aB and call__ab are one function.
func bare(word string) string {
	return strings.Map(func(c rune) rune {
		if letterOrDigit(c) {
			return c
		}
		return -1
	}, strings.ToLower(word))
}

func letterOrDigit(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
