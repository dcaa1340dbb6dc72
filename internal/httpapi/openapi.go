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
	var doc struct {
		whole object
		paths object
		call  object // of callPath
		body  object // the schema of a body in JSON
	}
	if err := json.Unmarshal(api.OpenAPIJSON, &doc.whole); err != nil {
		return err
	}
	doc.paths = dig(doc.whole, "paths")
	doc.call = dig(doc.paths, callPath, "post")
	doc.body = dig(doc.whole, "components", "schemas", "Envelope")
	ids := map[string]bool{}
	for _, info := range a.cfg.Caller.Services() {
		if !info.Catalogued || !w.pass.May(info.Name) {
			continue
		}
		op, err := serviceOperation(doc.call, doc.body, info)
		if err != nil {
			return err
		}
		op["operationId"] = operationID(info.Name, ids)
		doc.paths["/services/"+url.PathEscape(info.Name)] = object{"post": op}
	}
	return sendJSON(w, doc.whole)
}

// dig returns the object that names lead to.
func dig(o object, names ...string) object {
	for _, name := range names {
		o, _ = o[name].(object)
	}
	return o
}

// serviceOperation returns the operation that calls one service: that of all
// services with its name filled in, its example, and its vars in the body.
func serviceOperation(call, body object, info mdp.ServiceInfo) (object, error) {
	op, err := clone(call)
	if err != nil {
		return nil, err
	}
	op["summary"] = "Calls " + info.Name + "."
	if info.Description != "" {
		op["description"] = info.Description
	}
	parameters, _ := op["parameters"].([]any)
	op["parameters"] = slices.DeleteFunc(parameters, func(p any) bool { return p.(object)["in"] == "path" })
	if body, err = serviceBody(body, info); err != nil {
		return nil, err
	}
	content := object{"schema": body}
	if info.Example != nil {
		content["example"] = info.Example
	}
	dig(op, "requestBody", "content")["application/json"] = content
	return op, nil
}

// serviceBody returns the schema of a service's body. Vars that it can't do
// without are required: who gives none is taken to give {}.
func serviceBody(body object, info mdp.ServiceInfo) (object, error) {
	body, err := clone(body)
	if err != nil {
		return nil, err
	}
	properties := dig(body, "properties")
	if info.Vars == "none" {
		delete(properties, "vars")
	}
	if info.VarsSchema == nil {
		return body, nil
	}
	var schema any
	if err := json.Unmarshal(info.VarsSchema, &schema); err != nil {
		return nil, err
	}
	if s, ok := schema.(object); ok {
		if required, _ := s["required"].([]any); len(required) > 0 {
			body["required"] = []string{"vars"}
		}
		if _, named := s["$id"]; !named && strings.Contains(string(info.VarsSchema), `"$ref"`) {
			// Its references are to itself, not to the document around it.
			s["$id"] = "urn:mdp-gateway:vars:" + url.PathEscape(info.Name)
		}
	}
	properties["vars"] = schema
	return body, nil
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
