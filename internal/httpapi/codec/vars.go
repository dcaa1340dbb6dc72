package codec

import (
	"github.com/go-json-experiment/json/jsontext"

	"mdpgateway/internal/ijson"
)

// atVars is where vars are, or would be, in an envelope. Faults in vars from
// elsewhere point there too, so that callers read one kind of pointer.
const atVars = jsontext.Pointer("/vars")

// parseVars returns the vars that the query or the header gives, and where they
// are from.
func parseVars(q query, header []string) (vars ijson.Object, by string, err error) {
	text := q.vars
	switch {
	case len(header) > 1:
		return vars, "", badAt(atVars, "vars are given twice: Flowgraph-Vars is there %d times", len(header))
	case len(header) == 1 && q.hasVars:
		return vars, "", badTwice("?vars", "Flowgraph-Vars")
	case len(header) == 1:
		text, by = header[0], "Flowgraph-Vars"
	case q.hasVars:
		by = "?vars"
	default:
		return vars, "", nil
	}
	vars, err = ijson.ParseObject([]byte(text))
	return vars, by, badJSON(atVars, err)
}

func badTwice(one, other string) error {
	return badAt(atVars, "vars are given twice, by %s and by %s", one, other)
}
