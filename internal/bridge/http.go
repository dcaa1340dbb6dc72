package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// A Server is what HTTP posts to.
type Server struct {
	URL         *url.URL
	ContentType string // of the requests
	VarsIn      VarsIn
}

// VarsIn says where a server finds the vars.
type VarsIn string

// The places. Without vars neither is there.
const (
	Header VarsIn = "header" // Flowgraph-Vars, in ASCII
	Query  VarsIn = "query"  // the parameter vars
)

// HTTP returns a Runner that posts the data frame of each request to a server. The body of the
// response is the reply; a status from 300 on means that there is none. Redirects are not
// followed, and nothing is sent twice.
func (c Config) HTTP(server Server) (run Runner, idle func()) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = transport.MaxIdleConns
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	run = func(ctx context.Context, req *Request) ([]byte, error) {
		r, err := server.request(ctx, req)
		if err != nil {
			return nil, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return nil, &Error{Text: "the server can't be reached", Err: withoutURL(err)}
		}
		defer answer.Body.Close()
		if answer.StatusCode >= http.StatusMultipleChoices {
			return nil, failed("HTTP status %d", answer.StatusCode)
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, c.MaxReply+1))
		switch {
		case err != nil:
			return nil, &Error{Text: "the server's answer ends too early", Err: err}
		case int64(len(body)) > c.MaxReply:
			return nil, errTooLarge
		}
		return body, nil
	}
	return run, transport.CloseIdleConnections
}

func (s Server) request(ctx context.Context, req *Request) (*http.Request, error) {
	if len(req.Frames) > 1 {
		return nil, failed("the request has %d frames of data, want one", len(req.Frames))
	}
	var body []byte
	if len(req.Frames) == 1 {
		body = req.Frames[0]
	}
	to := *s.URL
	if !req.Vars.IsZero() && s.VarsIn == Query {
		q := to.Query()
		q.Set("vars", req.Vars.String())
		to.RawQuery = q.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", s.ContentType)
	if !req.Vars.IsZero() && s.VarsIn == Header {
		r.Header.Set("Flowgraph-Vars", ascii(req.Vars.String()))
	}
	return r, nil
}

// ascii escapes what is not printable ASCII in JSON text, so that a header can hold it, and takes
// out white space that a header can't.
func ascii(text string) string {
	var b bytes.Buffer
	for _, c := range text {
		switch {
		case c == '\n' || c == '\r' || c == '\t': // between tokens: within strings they are escaped
			b.WriteByte(' ')
		case c < 0x7f:
			b.WriteRune(c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			c -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		}
	}
	return b.String()
}

// withoutURL returns the cause of a client's error: the URL may hold a password.
func withoutURL(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
