package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

// quantity is written as a string and read from a number as well.
const quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity"

// writeBuiltIn writes the schemas of all kinds of Kubernetes itself.
func writeBuiltIn(dir, swagger string) error {
	data, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var spec struct{ Definitions map[string]object }
	if err := json.Unmarshal(data, &spec); err != nil {
		return fmt.Errorf("%s: %w", swagger, err)
	}
	for _, d := range spec.Definitions {
		strict(d)
	}
	spec.Definitions[quantity] = object{"type": []any{"string", "number"}}
	for name, d := range spec.Definitions {
		kinds, _ := d["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue // no object of its own, or one that all groups share
		}
		k := kinds[0].(object)
		needed := object{}
		collect(name, spec.Definitions, needed)
		schema := object{"$ref": "#/definitions/" + name, "definitions": needed}
		if err := write(dir, k["group"].(string), k["version"].(string), k["kind"].(string), schema); err != nil {
			return err
		}
	}
	return nil
}

// collect adds a definition to needed, and all that it refers to.
func collect(name string, all map[string]object, needed object) {
	if needed[name] != nil {
		return
	}
	needed[name] = all[name]
	walk(all[name], func(o object) {
		if ref, ok := o["$ref"].(string); ok {
			collect(strings.TrimPrefix(ref, "#/definitions/"), all, needed)
		}
	})
}

// writeCustom writes the schemas of a CustomResourceDefinition's versions.
func writeCustom(dir, file string, data []byte) error {
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPI object `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(crd.Spec.Versions) == 0 {
		return fmt.Errorf("%s has no versions, want a CustomResourceDefinition", file)
	}
	for _, v := range crd.Spec.Versions {
		strict(v.Schema.OpenAPI)
		if err := write(dir, crd.Spec.Group, v.Name, crd.Spec.Names.Kind, v.Schema.OpenAPI); err != nil {
			return err
		}
	}
	return nil
}

// strict lets objects have no members but those that are named, as the API server
// does with --validate=strict, and turns what OpenAPI says in its own way into
// JSON Schema.
func strict(schema object) {
	walk(schema, func(o object) {
		_, named := o["properties"].(object)
		_, others := o["additionalProperties"]
		if keep, _ := o["x-kubernetes-preserve-unknown-fields"].(bool); named && !others && !keep {
			o["additionalProperties"] = false
		}
		if o["format"] == "int-or-string" {
			delete(o, "format")
			o["type"] = []any{"string", "integer"}
		}
	})
}

// walk calls fn for every schema within a schema. What is called like a keyword
// but is a property's name is never an object with a type, so fn does no harm.
func walk(v any, fn func(object)) {
	switch v := v.(type) {
	case object:
		fn(v)
		for _, member := range v {
			walk(member, fn)
		}
	case []any:
		for _, item := range v {
			walk(item, fn)
		}
	}
}
