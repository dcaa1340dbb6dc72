package catalogue

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/ijson"
	"mdpgateway/internal/nearest"
)

// What the value of a keyword is.
type keywordValue int

const (
	plainValue  keywordValue = iota // nothing with keywords in it
	oneSchema                       // a schema
	schemaList                      // a list of schemas
	schemaNames                     // an object whose members are schemas, under any names
	reference                       // to a part of this schema
)

// keywords are those of JSON Schema 2020-12, and definitions, which many write for $defs.
// It never changes.
var keywords = map[string]keywordValue{
	"$anchor": plainValue, "$comment": plainValue, "$dynamicAnchor": plainValue, "$id": plainValue,
	"$schema": plainValue, "$vocabulary": plainValue, "const": plainValue, "contentEncoding": plainValue,
	"contentMediaType": plainValue, "default": plainValue, "dependentRequired": plainValue,
	"deprecated": plainValue, "description": plainValue, "enum": plainValue, "examples": plainValue,
	"exclusiveMaximum": plainValue, "exclusiveMinimum": plainValue, "format": plainValue,
	"maxContains": plainValue, "maxItems": plainValue, "maxLength": plainValue, "maxProperties": plainValue,
	"maximum": plainValue, "minContains": plainValue, "minItems": plainValue, "minLength": plainValue,
	"minProperties": plainValue, "minimum": plainValue, "multipleOf": plainValue, "pattern": plainValue,
	"readOnly": plainValue, "required": plainValue, "title": plainValue, "type": plainValue,
	"uniqueItems": plainValue, "writeOnly": plainValue,

	"additionalProperties": oneSchema, "contains": oneSchema, "contentSchema": oneSchema, "else": oneSchema,
	"if": oneSchema, "items": oneSchema, "not": oneSchema, "propertyNames": oneSchema, "then": oneSchema,
	"unevaluatedItems": oneSchema, "unevaluatedProperties": oneSchema,

	"allOf": schemaList, "anyOf": schemaList, "oneOf": schemaList, "prefixItems": schemaList,

	"$defs": schemaNames, "definitions": schemaNames, "dependentSchemas": schemaNames,
	"patternProperties": schemaNames, "properties": schemaNames,

	"$ref": reference, "$dynamicRef": reference,
}

// checkKeywords refuses what a validator would ignore or misread in a valid schema at a
// pointer: keywords that there are not, but for those that begin with x-, and references
// to anything outside of it.
func checkKeywords(at jsontext.Pointer, schema any) error {
	object, _ := schema.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		at := at.AppendToken(name)
		kind, known := keywords[name]
		if !known && !strings.HasPrefix(name, "x-") {
			return unknownKeyword(at, name)
		}
		if to, ok := object[name].(string); ok && kind == reference && !strings.HasPrefix(to, "#") {
			return fmt.Errorf("%s: it is %q, want a part of this schema, such as #/$defs/name", ijson.Fragment(at), to)
		}
		for below, part := range schemasIn(kind, object[name]) {
			if err := checkKeywords(at+below, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// schemasIn yields the schemas in the value of a keyword, and where they are in it.
func schemasIn(kind keywordValue, value any) iter.Seq2[jsontext.Pointer, any] {
	return func(yield func(jsontext.Pointer, any) bool) {
		switch value := value.(type) {
		case []any:
			for i := 0; i < len(value) && kind == schemaList; i++ {
				if !yield(jsontext.Pointer("/"+strconv.Itoa(i)), value[i]) {
					return
				}
			}
		case map[string]any:
			if kind == oneSchema {
				yield("", value)
			}
			for _, name := range slices.Sorted(maps.Keys(value)) {
				if kind == schemaNames && !yield(jsontext.Pointer("").AppendToken(name), value[name]) {
					return
				}
			}
		}
	}
}

func unknownKeyword(at jsontext.Pointer, name string) error {
	hint := "want those of JSON Schema 2020-12, or x-…"
	if near := nearest.Of(name, slices.Sorted(maps.Keys(keywords))); near != "" {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("%s: it is no keyword, %s", ijson.Fragment(at), hint)
}
