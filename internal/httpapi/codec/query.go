package codec

import (
	"net/url"
	"strconv"
	"time"
)

// A query is what the parameters say that the codec knows. Others are not its
// business.
type query struct {
	raw     bool
	frame   int // -1 if not given
	reply   string
	timeout time.Duration // 0 if not given
	vars    string
	hasVars bool
	dryRun  bool
}

// parseQuery reads a query string. A parameter that is known must be there once
// and well-formed: what a caller meant by another can only be guessed.
func parseQuery(text string) (query, error) {
	q := query{frame: -1}
	if text == "" {
		return q, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return q, bad("the query is not percent-encoded as it should be")
	}
	for _, name := range [...]string{"raw", "frame", "reply", "timeout", "vars", "dry_run"} {
		given := values[name]
		if len(given) > 1 {
			return q, bad("the parameter %s is given %d times, want once", name, len(given))
		}
		if len(given) == 1 {
			if err := q.set(name, given[0]); err != nil {
				return q, err
			}
		}
	}
	return q, nil
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
	}
	if want != "" {
		return bad("the parameter %s is %.64q, want %s", name, value, want)
	}
	return nil
}
