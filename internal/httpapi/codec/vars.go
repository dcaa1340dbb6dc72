package codec

import (
	"github.com/go-json-experiment/json/jsontext"
)

// atVars is where vars are, or would be, in an envelope. Faults in vars from
// elsewhere point there too, so that callers read one kind of pointer.
const atVars = jsontext.Pointer("/vars")

// parseVars returns the vars that the query or the header gives, and where they
// are from. They are nil if there are none.
func parseVars(q query, header []string) (vars []byte, by string, err error) {
	switch {
	case len(header) > 1:
		return nil, "", badAt(atVars, "vars are given twice: Flowgraph-Vars is there %d times", len(header))
	case len(header) == 1 && q.hasVars:
		return nil, "", badTwice("?vars", "Flowgraph-Vars")
	case len(header) == 1:
		vars, by = []byte(header[0]), "Flowgraph-Vars"
	case q.hasVars:
		vars, by = []byte(q.vars), "?vars"
	default:
		return nil, "", nil
	}
	return vars, by, checkVars(vars)
}

func badTwice(one, other string) error {
	return badAt(atVars, "vars are given twice, by %s and by %s", one, other)
}

// checkVars says why a text is not one JSON object.
func checkVars(text []byte) error {
	if !jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(len(text) > maxKept)) {
		return whyInvalid(atVars, text)
	}
	if len(text) > maxKept {
		if at, found := duplicate(text); found {
			return badAt(atVars+at, twice)
		}
	}
	return checkObject(text)
}

// checkObject says why a valid JSON value can't be vars.
func checkObject(value jsontext.Value) error {
	if value.Kind() != jsontext.KindBeginObject {
		return badAt(atVars, "vars is %s, want an object", describe(value.Kind()))
	}
	return checkLevels(atVars, value, 1)
}
