package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"strings"

	"mdpgateway/internal/gateway"
)

// A problemType is what all problems of one code share.
type problemType struct {
	status int
	title  string
	retry  bool   // the same request may succeed later, if it did not run
	about  string // for the page, and the detail where an error has none
}

// problems is the one table from an error's kind to what HTTP callers see of it.
// 4xx and 503 promise that nothing was sent, but for a 406 after a reply and the
// 4xx that a service's rule sets; 502 and 504 mean that the request ran or may
// have. So any proxy may retry a 503.
var problems = map[gateway.Kind]problemType{
	gateway.BadRequest:        {400, "Malformed request", false, "The body, the service name or a parameter is malformed; errors says where."},
	gateway.Unauthorized:      {401, "Unauthorized", false, "The request must prove who calls, by a key or token (Authorization: Bearer) or by a client certificate."},
	gateway.Forbidden:         {403, "Forbidden", false, "This caller, or any, may not use this service, whether or not it exists."},
	gateway.OriginRefused:     {403, "Origin refused", false, "The request comes from a page of a foreign origin, or names a host that the gateway does not answer to."},
	gateway.NotFound:          {404, "No such route", false, "The gateway has no such route."},
	gateway.ServiceNotFound:   {404, "No such service", false, "No worker offers a service of this name."},
	gateway.MethodNotAllowed:  {405, "Method not allowed", false, "The route does not take this method; Allow names those that it takes."},
	gateway.NotAcceptable:     {406, "Not acceptable", false, "The reply can't be given in any form that Accept names; if there was one, frames holds it."},
	gateway.BodyTimeout:       {408, "Body timed out", false, "The next bytes of the body did not arrive in time."},
	gateway.BodyTooLarge:      {413, "Body too large", false, "The body is larger than the gateway takes."},
	gateway.UnsupportedMedia:  {415, "Unsupported media type", false, "The gateway does not read bodies of this type or encoding; Accept-Post names those that it reads."},
	gateway.InvalidVars:       {422, "Invalid vars", false, "The flowgraph vars can't be sent to this service; errors says why."},
	gateway.RateLimited:       {429, "Rate limited", true, "The caller's rate, or its number of calls in flight, is used up. Nothing was sent."},
	gateway.HeadersTooLarge:   {431, "Headers too large", false, "The request's headers are larger than the gateway takes."},
	gateway.Canceled:          {499, "Canceled", false, "The caller left. Only logs and metrics show this."},
	gateway.Internal:          {500, "Internal error", false, "The gateway has a bug. Its log says more under the request_id."},
	gateway.WorkerError:       {502, "Worker error", false, "The worker replied that it failed; frames holds its reply, if there is memory for it."},
	gateway.BadReply:          {502, "Bad reply", false, "What the broker sent is no reply to this request."},
	gateway.ReplyTooLarge:     {502, "Reply too large", false, "The reply is larger than the gateway holds."},
	gateway.BrokerLost:        {502, "Broker lost", false, "The connection to the broker broke while the request was there. It may have run."},
	gateway.Interrupted:       {502, "Interrupted", true, "The gateway shut down while the request was at the broker. Unless executed is no, it may have run."},
	gateway.Busy:              {503, "Busy", true, "The gateway is at one of its limits; reason says which. Nothing was sent."},
	gateway.BrokerUnavailable: {503, "Broker unavailable", true, "The gateway has no connection to a broker. Nothing was sent."},
	gateway.NoWorkers:         {503, "No workers", true, "The service is known but has no worker now. Nothing was sent."},
	gateway.Draining:          {503, "Draining", true, "The gateway is shutting down and takes no more calls. Nothing was sent."},
	gateway.Timeout:           {504, "Timeout", true, "The request was sent, and no reply came in time. Unless executed is no, it may have run, or still run; limit_by names what set the time."},

	gateway.JobNotFound:         {404, "No such job", false, "There is no such job, it was deleted or forgotten, or it is not this caller's."},
	gateway.JobNotDone:          {409, "Job not done", false, "The job is queued or runs: there is no reply yet."},
	gateway.JobOver:             {409, "Job over", false, "The job is over and can't be canceled."},
	gateway.Expired:             {410, "Expired", false, "The job's time in the queue passed. It was not sent."},
	gateway.IdempotencyMismatch: {422, "Idempotency mismatch", false, "The idempotency key was used for another request."},
	gateway.StoreUnavailable:    {503, "Store unavailable", true, "The store of jobs can't be reached. Nothing was accepted."},
	gateway.JobUnconfirmed:      {504, "Job unconfirmed", false, "The store did not say whether it took the job. Location says where it is if it did."},
}

// A problem is an error as callers see it: problem details (RFC 9457) and what
// the gateway adds to them. The cause is not in it: it may name addresses.
type problem struct {
	Type      string           `json:"type"`
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail"`
	Code      gateway.Kind     `json:"code"`
	RequestID string           `json:"request_id"`
	Service   string           `json:"service,omitempty"`
	Executed  gateway.Executed `json:"executed"`
	Retryable bool             `json:"retryable"`
	Reason    string           `json:"reason,omitempty"`
	Errors    []gateway.Fault  `json:"errors,omitempty"`
	Worker    string           `json:"worker_detail,omitempty"` // of a worker that failed
	Frames    [][]byte         `json:"frames,omitempty"`        // encode leaves them to package codec
	*overdue
}

// overdue is what a timeout adds.
type overdue struct {
	Stage   string `json:"stage"`
	Limit   int64  `json:"limit_ms"`
	LimitBy string `json:"limit_by"`
	Elapsed int64  `json:"elapsed_ms"`
	LastOK  *int64 `json:"service_last_ok_ms,omitempty"` // none if it never replied
	MMI     string `json:"mmi,omitempty"`
}

// newProblem describes e, which service's call met unless e names another.
func newProblem(e *gateway.Error, requestID, service string) problem {
	t, known := problems[e.Kind]
	if !known {
		e = &gateway.Error{Kind: gateway.Internal, Sent: true}
		t = problems[gateway.Internal]
	}
	p := problem{
		Type: "/problems#" + string(e.Kind), Title: t.title, Status: t.status,
		Detail: e.Detail, Code: e.Kind, RequestID: requestID, Service: service,
		Executed: e.Executed(), Reason: e.Reason, Errors: e.Faults, Worker: e.Worker, Frames: e.Frames,
	}
	p.Retryable = t.retry && p.Executed == gateway.No
	if p.Detail == "" {
		p.Detail = t.about
	}
	if e.Service != "" {
		p.Service = e.Service
	}
	if e.Status != 0 {
		p.Status = e.Status
	}
	if e.Timeout != nil {
		p.overdue = newOverdue(e.Timeout)
	}
	return p
}

func newOverdue(t *gateway.TimeoutDetail) *overdue {
	o := &overdue{
		Stage: t.Stage, Limit: t.Limit.Milliseconds(), LimitBy: t.LimitBy,
		Elapsed: t.Elapsed.Milliseconds(), MMI: t.MMI,
	}
	if t.LastOK >= 0 {
		ms := t.LastOK.Milliseconds()
		o.LastOK = &ms
	}
	return o
}

// encode returns the problem without its frames as JSON, which ends with a line
// feed for terminals. It is not HTML, so what it quotes stays readable.
func (p problem) encode() []byte {
	p.Frames = nil
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(p) // to memory, and all of its parts can be encoded
	return b.Bytes()
}

// problemsPage is the page that the types of problems point to: one anchor per
// code, of the same table as the problems.
func problemsPage() []byte {
	var b strings.Builder
	b.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Problems</title>\n<h1>Problems</h1>\n" +
		"<p>Errors are <code>application/problem+json</code> (RFC 9457). 4xx but 499, and 503, mean that nothing was sent " +
		"(but 406 after a reply, and the status that a service's rule gives <a href=\"#worker_error\"><code>worker_error</code></a>: " +
		"4xx or 5xx, though the request ran); 502 and 504 that it ran or may have.</p>\n<dl>\n")
	for _, kind := range gateway.Kinds() {
		t := problems[kind]
		fmt.Fprintf(&b, "<dt id=\"%s\"><code>%[1]s</code>: %d, %s</dt>\n<dd>%s</dd>\n",
			html.EscapeString(string(kind)), t.status, html.EscapeString(t.title), html.EscapeString(t.about))
	}
	b.WriteString("</dl>\n</html>\n")
	return []byte(b.String())
}

// problems answers GET /problems.
func (a *API) problems(w *response, _ *http.Request) error {
	w.send(http.StatusOK, "text/html; charset=utf-8", a.page)
	return nil
}
