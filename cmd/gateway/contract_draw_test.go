package main

import (
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"
)

// value draws a value of a schema's type. What the schema says of its members
// together it does not know, and now and then it draws another type: the
// validator says whether the whole is valid.
func (d *draft) value(schema *openapi3.Schema, depth int) any {
	if rapid.IntRange(0, 30).Draw(d.T, "another type") == 0 {
		return d.anything(depth)
	}
	switch {
	case schema.Const != nil:
		return schema.Const
	case len(schema.Enum) > 0:
		return rapid.SampledFrom(schema.Enum).Draw(d.T, "enum")
	case len(schema.OneOf) > 0:
		return d.value(rapid.SampledFrom(schema.OneOf).Draw(d.T, "one of").Value, depth)
	case schema.Type == nil && len(schema.Properties) > 0: // a string in place of the object may be taken as well
		if rapid.Bool().Draw(d.T, "a string") {
			return d.text()
		}
		return d.object(schema, depth)
	case schema.Type.Is("object"):
		return d.object(schema, depth)
	case schema.Type.Is("array"):
		most := 3
		if schema.MaxItems != nil {
			most = min(most, int(*schema.MaxItems))
		}
		elements := make([]any, rapid.IntRange(int(schema.MinItems), most).Draw(d.T, "elements"))
		for i := range elements {
			elements[i] = d.value(schema.Items.Value, depth-1)
		}
		return elements
	case schema.Type.Is("integer"):
		least, most := -1000, 1000
		if schema.Min != nil {
			least = int(*schema.Min) - 1
		}
		if schema.Max != nil {
			most = int(*schema.Max) + 1
		}
		return rapid.IntRange(least, most).Draw(d.T, "integer")
	case schema.Type.Is("string") && schema.Pattern != "":
		return rapid.StringMatching(schema.Pattern).Draw(d.T, "matching")
	case schema.Type.Is("string"):
		return d.text()
	}
	return d.anything(depth)
}

// object draws the members in the order of their names, so that a seed means
// always the same.
func (d *draft) object(schema *openapi3.Schema, depth int) map[string]any {
	o := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		most := 1
		if slices.Contains(schema.Required, name) {
			most = 12
		}
		if rapid.IntRange(0, most).Draw(d.T, name+" is there") > 0 {
			o[name] = d.value(schema.Properties[name].Value, depth-1)
		}
	}
	free := len(schema.Properties) == 0
	if free || rapid.IntRange(0, 20).Draw(d.T, "another member") == 0 {
		for range rapid.IntRange(0, 2).Draw(d.T, "members") {
			o[rapid.StringMatching(`[a-z_é"]{1,6}`).Draw(d.T, "name")] = d.anything(depth - 1)
		}
	}
	return o
}

// anything draws any JSON value.
func (d *draft) anything(depth int) any {
	most := 7
	if depth <= 0 {
		most = 5
	}
	switch rapid.IntRange(0, most).Draw(d.T, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(d.T, "boolean")
	case 2:
		return rapid.Int64().Draw(d.T, "integer")
	case 3:
		return rapid.Float64Range(-1e300, 1e300).Draw(d.T, "number")
	case 4:
		return rapid.StringMatching(`([A-Za-z0-9+/]{4}){0,5}`).Draw(d.T, "base64")
	case 5:
		return d.text()
	case 6:
		elements := make([]any, rapid.IntRange(0, 3).Draw(d.T, "elements"))
		for i := range elements {
			elements[i] = d.anything(depth - 1)
		}
		return elements
	}
	return d.object(new(openapi3.Schema), depth)
}

func (d *draft) text() string { return rapid.StringN(0, 20, 60).Draw(d.T, "text") }
