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
	dryRun  bool
}

// parameters are the names that a query may have, and never change.
var parameters = []string{"raw", "frame", "reply", "timeout", "vars", "dry_run"}

// parseQuery reads a query string. A parameter must be known, be there once and be
// well-formed: what a caller meant by another can only be guessed.
func parseQuery(text string) (query, error) {
	q := query{frame: -1}
	given := make([]string, 0, len(parameters))
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, bad1 := url.QueryUnescape(name)
		value, bad2 := url.QueryUnescape(value)
		if bad1 != nil || bad2 != nil || strings.Contains(pair, ";") {
			return q, bad("the query is not percent-encoded as it should be")
		}
		if slices.Contains(given, name) {
			return q, bad("the parameter %s is given twice, want once", name)
		}
		if err := q.set(name, value); err != nil {
			return q, err
		}
		given = append(given, name)
	}
	return q, nil
}

// unknown returns the error of a parameter that there is not.
func unknown(name string) error {
	if near := nearest.Of(name, parameters); near != "" {
		return bad("there is no parameter %.64q, did you mean %s?", name, near)
	}
	return bad("there is no parameter %.64q, want one of %s", name, strings.Join(parameters, ", "))
}

func (q *query) set(name, value string) error {
	var err error
	want := ""
	switch name {
	case "raw", "dry_run":
		on := &q.raw
		if name == "dry_run" {
			on = &q.dryRun
		}
		if *on = value == "true"; !*on && value != "false" {
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
	case "timeout":
		q.timeout, err = time.ParseDuration(value)
		if err != nil || q.timeout <= 0 {
			want = "a time such as 500ms or 10s"
		}
	case "vars":
		q.vars, q.hasVars = value, true
	default:
		return unknown(name)
	}
	if want != "" {
		return bad("the parameter %s is %.64q, want %s", name, value, want)
	}
	return nil
}
