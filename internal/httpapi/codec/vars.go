package codec

import (
	"net/url"
	"strings"
	"unicode/utf8"

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
		by = "Flowgraph-Vars"
		if text, err = headerVars(header[0]); err != nil {
			return vars, by, err
		}
	case q.hasVars:
		by = "?vars"
	default:
		return vars, "", nil
	}
	vars, err = ijson.ParseObject([]byte(text))
	return vars, by, badJSON(atVars, err)
}

// headerVars returns the JSON of the header: as it is, percent-encoded, or in the encoding
// in which headers carry what is not ASCII (RFC 8187).
func headerVars(value string) (string, error) {
	if scheme := "UTF-8''"; len(value) >= len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
		text, err := url.PathUnescape(value[len(scheme):])
		if err != nil {
			return "", badAt(atVars, "invalid percent-encoding in Flowgraph-Vars after %s", scheme)
		}
		return text, nil
	}
	if len(value) >= 3 && strings.EqualFold(value[:3], "%7B") { // no JSON begins like this
		text, err := url.PathUnescape(value)
		if err != nil {
			return "", badAt(atVars, "invalid percent-encoding in Flowgraph-Vars")
		}
		return text, nil
	}
	if !utf8.ValidString(value) {
		return "", badAt(atVars, "Flowgraph-Vars is not UTF-8: browsers send headers as Latin-1; percent-encode the JSON, or use ?vars")
	}
	return value, nil
}

func badTwice(one, other string) error {
	return badAt(atVars, "vars are given twice, by %s and by %s", one, other)
}
