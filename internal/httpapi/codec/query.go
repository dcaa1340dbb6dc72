package codec

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"mdpgateway/internal/nearest"
)

// A query is what the parameters say.
type query struct {
	raw     bool
	frame   int // -1 if not given
	reply   string
	timeout time.Duration // 0 if not given
	vars    string
	hasVars bool
	expires time.Duration // 0 if not given
}

// parameters are the names that a query may have, and never change.
var parameters = []string{"raw", "frame", "reply", "timeout", "vars"}

// jobParameters are those of a request for a job, and replyParameters those of a request for its reply.
var (
	jobParameters   = append(slices.Clone(parameters), "expires")
	replyParameters = []string{"frame", "reply", "wait"}
)

// parseQuery reads a query string with parameters of these names.
func parseQuery(text string, names []string) (query, error) {
	q := query{frame: -1}
	err := eachParameter(text, names, q.set)
	return q, err
}

// eachParameter reads a query string. A parameter must be known, be there once and be
// well-formed: what a caller meant by another can only be guessed.
func eachParameter(text string, names []string, set func(name, value string) error) error {
	var few [8]string
	given := few[:0]
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, bad1 := url.QueryUnescape(name)
		value, bad2 := url.QueryUnescape(value)
		if bad1 != nil || bad2 != nil || strings.Contains(pair, ";") {
			return bad("the query is not percent-encoded as it should be")
		}
		if slices.Contains(given, name) {
			return bad("the parameter %s is given twice, want once", name)
		}
		if !slices.Contains(names, name) {
			return unknown(name, names)
		}
		if err := set(name, value); err != nil {
			return err
		}
		given = append(given, name)
	}
	return nil
}

// Parameters reads a query string that may have parameters of these names, each once. The error is an *gateway.Error
// of kind BadRequest.
func Parameters(text string, names ...string) (map[string]string, error) {
	values := map[string]string{}
	err := eachParameter(text, names, func(name, value string) error {
		values[name] = value
		return nil
	})
	return values, err
}

// ParseWait reads the value of a parameter that is a time to wait; 0 waits for nothing.
func ParseWait(name, value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return 0, bad("the parameter %s is %.64q, want a time such as 500ms or 10s", name, value)
	}
	return d, nil
}

// unknown returns the error of a parameter that there is not.
func unknown(name string, names []string) error {
	if near := nearest.Of(name, names); near != "" {
		return bad("there is no parameter %.64q, did you mean %s?", name, near)
	}
	if len(names) == 0 {
		return bad("there is no parameter %.64q, want none", name)
	}
	return bad("there is no parameter %.64q, want one of %s", name, strings.Join(names, ", "))
}

func (q *query) set(name, value string) error {
	var err error
	want := ""
	switch name {
	case "raw":
		if q.raw = value == "true"; !q.raw && value != "false" {
			want = "true or false"
		}
	case "frame":
		q.frame, err = strconv.Atoi(value)
		if err != nil || q.frame < 0 {
			want = "the number of a frame, counted from 0"
		}
	case "reply":
		q.reply = value
		switch value {
		case "text", "json", "base64", "raw":
		default:
			want = "text, json, base64 or raw"
		}
	case "timeout", "expires":
		to := &q.timeout
		if name == "expires" {
			to = &q.expires
		}
		if *to, err = time.ParseDuration(value); err != nil || *to <= 0 {
			want = "a time such as 500ms or 10s"
		}
	case "wait": // which others read
	case "vars":
		q.vars, q.hasVars = value, true
	}
	if want != "" {
		return bad("the parameter %s is %.64q, want %s", name, value, want)
	}
	return nil
}
