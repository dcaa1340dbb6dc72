package httpapi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mdpgateway/api"
	"mdpgateway/internal/mdp"
)

// An object is a part of the OpenAPI document.
type object = map[string]any

// callPath is the path in the document that stands for all services.
const callPath = "/services/{name}"

// openAPIJSON answers GET /openapi.json: the contract, and a path for each service
// of the catalogue that the caller's key may call, with what its vars are.
func (a *API) openAPIJSON(w *response, _ *http.Request) error {
	var doc object
	if err := json.Unmarshal(api.OpenAPIJSON, &doc); err != nil {
		return err
	}
	paths := dig(doc, "paths")
	call := dig(paths, callPath, "post")
	schemas := dig(doc, "components", "schemas")
	ids := map[string]bool{}
	for _, info := range a.cfg.Caller.Services() {
		if !info.Catalogued || !w.pass.May(info.Name) {
			continue
		}
		op, err := serviceOperation(call, schemas, info)
		if err != nil {
			return err
		}
		op["operationId"] = operationID(info.Name, ids)
		paths["/services/"+url.PathEscape(info.Name)] = object{"post": op}
	}
	return sendJSON(w, doc)
}

// dig returns the object that names lead to.
func dig(o object, names ...string) object {
	for _, name := range names {
		o, _ = o[name].(object)
	}
	return o
}

// serviceOperation returns the operation that calls one service: that of all
// services with its example, and with its vars wherever a request may have them.
func serviceOperation(call, schemas object, info mdp.ServiceInfo) (object, error) {
	op, err := clone(call)
	if err != nil {
		return nil, err
	}
	op["summary"] = "Calls " + info.Name + "."
	if info.Description != "" {
		op["description"] = info.Description
	}
	vars, err := serviceVars(info)
	if err != nil {
		return nil, err
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

// serviceVars returns the schema of a service's vars, or nil if it has none of its
// own.
func serviceVars(info mdp.ServiceInfo) (schema any, err error) {
	if info.VarsSchema == nil {
		return nil, nil
	}
	if err := json.Unmarshal(info.VarsSchema, &schema); err != nil {
		return nil, err
	}
	if s, ok := schema.(object); ok {
		if _, named := s["$id"]; !named && strings.Contains(string(info.VarsSchema), `"$ref"`) {
			// Its references are to itself, not to the document around it.
			s["$id"] = "urn:mdp-gateway:vars:" + url.PathEscape(info.Name)
		}
	}
	return schema, nil
}

// serviceParameters returns the parameters of a call to one service: the vars of a
// raw body are its own, if it has any.
func serviceParameters(all, vars any, info mdp.ServiceInfo) []any {
	parameters, _ := all.([]any)
	return slices.DeleteFunc(parameters, func(p any) bool {
		schema := dig(p.(object), "schema")
		if schema["contentSchema"] == nil {
			return false
		}
		if vars != nil {
			schema["contentSchema"] = vars
		}
		return info.Vars == "none"
	})
}

// describeBody makes the schema of a body that of a service's, with as many frames
// as it takes. Vars that it can't do without are required: who gives none is taken
// to give {}.
func describeBody(body object, vars any, info mdp.ServiceInfo) {
	properties := dig(body, "properties")
	for _, frames := range []string{"frames", "frame"} {
		if list := dig(properties, frames); list != nil && info.MaxFrames > 0 {
			list["maxItems"] = info.MaxFrames
		}
	}
	if info.Vars == "none" {
		delete(properties, "vars")
	}
	if vars == nil {
		return
	}
	properties["vars"] = vars
	if s, ok := vars.(object); ok {
		if required, _ := s["required"].([]any); len(required) > 0 {
			body["required"] = []string{"vars"}
		}
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
// languages which clients are generated in, and that no other has.
func operationID(name string, taken map[string]bool) string {
	word := "call_" + strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '_'
	}, name)
	id := word
	for n := 2; taken[id]; n++ {
		id = word + "_" + strconv.Itoa(n)
	}
	taken[id] = true
	return id
}
