package codec

import (
	"net/http"

	"mdpgateway/internal/gateway"
)

// forms names the bodies of requests, for replies that are asked for later and mirror them.
var forms = map[bodyKind]string{rawBody: "raw", jsonBody: "json", formBody: "form"}

// Form names the form of the request's body. ParseReply takes it.
func (e *Exchange) Form() string { return forms[e.body] }

// ParseReply reads what a request for the reply of an earlier one says of its form: Accept, and of the query frame,
// reply and wait. The reply is given as the earlier request, whose body had that form, would have got it. The error is
// that of Parse.
func ParseReply(r *http.Request, form string, opt Options) (e *Exchange, wait string, err error) {
	values, err := Parameters(r.URL.RawQuery, replyParameters...)
	if err != nil {
		return nil, "", err
	}
	q, err := parseQuery(r.URL.RawQuery, replyParameters)
	if err != nil {
		return nil, "", err
	}
	e = &Exchange{frame: q.frame, as: opt.Reply}
	for body, name := range forms {
		if name == form {
			e.body = body
		}
	}
	return e, values["wait"], e.negotiate(r.Header["Accept"], q.reply, opt.ContentType)
}

// ParseEvents returns the exchange of a request for the events of a job: server-sent ones, unless Accept likes lines
// of JSON better.
func ParseEvents(accept []string, as gateway.Encoding) *Exchange {
	e := &Exchange{frame: -1, as: as, reply: sseReply, Stream: true}
	m := newMenu(accept, typeOctets)
	sse, lines := m.best(true, sseReply), m.best(true, ndjsonReply)
	if lines != nil && (sse == nil || lines.quality > sse.quality) {
		e.reply = ndjsonReply
	}
	return e
}

// NewEvents returns a stream of the events of a job on w. The next part is that of number seq.
func (e *Exchange) NewEvents(w http.ResponseWriter, seq int64) *Stream {
	s := e.NewStream(w)
	s.seq, s.ids = seq, true
	return s
}

// State writes the state of a job, which is JSON.
func (s *Stream) State(job []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	out := &s.out
	if s.sse {
		out.b = append(out.b, "event: state\ndata: "...)
	}
	out.b = append(append(append(out.b, `{"event":"state","job":`...), job...), "}\n"...)
	if s.sse {
		out.b = append(out.b, '\n')
	}
	return s.send(s.flush)
}
