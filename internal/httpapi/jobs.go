package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/jobs"
)

// async reports whether a call is to become a job. With jobs off the preference is ignored, as RFC 7240 allows.
func (a *API) async(w *response, r *http.Request) (bool, error) {
	if a.cfg.Jobs == nil {
		return false, nil
	}
	rules := a.cfg.Jobs.Rules(w.service)
	switch {
	case !rules.None && codec.PrefersAsync(r.Header["Prefer"]):
		return true, nil
	case rules.Only:
		return false, &gateway.Error{Kind: gateway.BadRequest, Detail: "this service is called asynchronously only: send Prefer: respond-async"}
	case r.Header["Idempotency-Key"] != nil:
		return false, &gateway.Error{Kind: gateway.BadRequest, Detail: "an Idempotency-Key is for jobs alone: send Prefer: respond-async with it"}
	}
	return false, nil
}

// maxKey is how many bytes an idempotency key may have.
const maxKey = 255

func idempotencyKey(h http.Header) (string, error) {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	ok := len(values) == 1 && len(key) > 0 && len(key) <= maxKey
	for i := range len(key) {
		ok = ok && key[i] >= ' ' && key[i] <= '~'
	}
	if !ok {
		return "", &gateway.Error{Kind: gateway.BadRequest, Detail: "Idempotency-Key is not one value of 1 to 255 printable ASCII characters"}
	}
	return key, nil
}

// submit makes a job of the response's call. If the caller waits for it and it ends in time, the answer is that of a
// synchronous call.
func (a *API) submit(w *response, r *http.Request, x *codec.Exchange) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	s := jobs.Submission{
		Call: w.call, Expires: x.Expires, Owner: w.pass.Owner(), Principal: w.pass.ID, MaxJobs: w.pass.MaxJobs(), Key: key, Form: x.Form(), Trace: w.trace,
	}
	s.Call.Service, s.Call.Room = w.service, nil
	job, replayed, err := a.cfg.Jobs.Submit(r.Context(), s)
	w.dropRequest(x)
	if err != nil {
		if gateway.AsError(err).Kind == gateway.JobUnconfirmed {
			w.Header().Set("Location", jobPath(job.ID))
		}
		return err
	}
	w.job, w.queued = job.ID, true
	h := w.Header()
	h.Set("Preference-Applied", "respond-async")
	if replayed {
		h.Set("Idempotent-Replayed", "true")
	}
	if x.Wait > 0 {
		wait := min(x.Wait, a.cfg.MaxJobWait)
		h.Set("Preference-Applied", "respond-async, wait="+seconds(wait))
		job, err = a.await(r.Context(), w, job.ID, wait, func(j *jobs.Job) bool { return j.State.Over() })
		if err == nil && job.State.Over() && w.room.Resize(job.Bytes) {
			h.Set("Content-Location", jobPath(job.ID)+"/reply")
			return a.writeJobReply(w, r, x, &job)
		}
	}
	h.Set("Location", jobPath(job.ID))
	h.Set("Retry-After", retryAfter())
	return a.sendJob(w, http.StatusAccepted, &job)
}

func jobPath(id string) string { return "/jobs/" + id }

// reader is who asks for a job.
func (w *response) reader() jobs.Reader {
	return jobs.Reader{Owner: w.pass.Owner(), Any: w.pass.ID == ""}
}

// await returns a job once until says so, or as it is after that time.
func (a *API) await(ctx context.Context, w *response, id string, wait time.Duration, until func(*jobs.Job) bool) (jobs.Job, error) {
	if wait <= 0 {
		return a.cfg.Jobs.Get(ctx, w.reader(), id)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return a.cfg.Jobs.Wait(ctx, w.reader(), id, until)
}

// A jobView is a job as callers see it. What there is not yet is left out.
type jobView struct {
	ID        string           `json:"id"`
	Service   string           `json:"service"`
	State     jobs.State       `json:"state"`
	Executed  gateway.Executed `json:"executed"`
	Created   time.Time        `json:"created"`
	Expires   time.Time        `json:"expires"`
	Started   *time.Time       `json:"started,omitempty"`
	Ended     *time.Time       `json:"ended,omitempty"`
	Timeout   int64            `json:"timeout_ms"`
	Position  *int             `json:"position,omitempty"`
	Parts     int              `json:"parts"`
	Bytes     int64            `json:"bytes"`
	KeepUntil *time.Time       `json:"keep_until,omitempty"`
	RequestID string           `json:"request_id"`
	Problem   json.RawMessage  `json:"problem,omitempty"`
}

func (a *API) view(job *jobs.Job) jobView {
	v := jobView{
		ID: job.ID, Service: job.Service, State: job.State, Executed: job.Executed(), Created: job.Created.UTC(), Expires: job.Expires.UTC(),
		Started: given(job.Started), Ended: given(job.Ended), Timeout: job.Timeout.Milliseconds(), Parts: job.Parts, Bytes: job.Bytes,
		KeepUntil: given(job.KeepUntil), RequestID: job.RequestID,
	}
	if position := a.cfg.Jobs.Position(job); position > 0 {
		v.Position = &position
	}
	if job.Problem != nil {
		v.Problem = jobProblem(job, nil).encode()
	}
	return v
}

// given returns a moment, nil if there was none.
func given(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// jobProblem is what the job's reply is if it failed, with the request that submitted it: what its synchronous call
// would have been answered with. A canceled job has a status of its own, since its caller has not left.
func jobProblem(job *jobs.Job, frames [][]byte) problem {
	e := *job.Problem
	e.Frames = frames
	p := newProblem(&e, job.RequestID, job.Service)
	if e.Kind == gateway.Canceled {
		p.Status = http.StatusGone
	}
	return p
}

func (a *API) sendJob(w *response, status int, job *jobs.Job) error {
	b, err := json.Marshal(a.view(job))
	if err != nil {
		return err
	}
	w.send(status, "application/json", append(b, '\n'))
	return nil
}

// tagOf is the ETag of a job: another for each state that it comes to. Parts and the position have no say.
func tagOf(job *jobs.Job) string { return `W/"` + strconv.FormatInt(job.Revision, 10) + `"` }

// named reports whether a header If-None-Match names a tag.
func named(header, tag string) bool {
	for each := range strings.SplitSeq(header, ",") {
		if each = strings.TrimSpace(each); each == "*" || each == tag {
			return true
		}
	}
	return false
}

// jobOf reads the id of a job in the path, and for how long the request may wait for a change.
func (a *API) jobOf(w *response, r *http.Request, wait string) (id string, most time.Duration, err error) {
	w.job = r.PathValue("id")
	if !jobs.IsID(w.job) {
		w.job = ""
		return "", 0, &gateway.Error{Kind: gateway.JobNotFound}
	}
	if wait != "" {
		most, err = codec.ParseWait("wait", wait)
	} else if prefer, ok := codec.ParsePrefer(r.Header["Prefer"]); ok {
		most = prefer
		w.Header().Set("Preference-Applied", "wait="+seconds(min(most, a.cfg.MaxJobWait)))
	}
	return w.job, min(most, a.cfg.MaxJobWait), err
}

// job answers GET /jobs/{id}.
func (a *API) job(w *response, r *http.Request) error {
	q, err := codec.Parameters(r.URL.RawQuery, "wait")
	if err != nil {
		return err
	}
	id, wait, err := a.jobOf(w, r, q["wait"])
	if err != nil {
		return err
	}
	seen := r.Header.Get("If-None-Match")
	job, err := a.await(r.Context(), w, id, wait, func(j *jobs.Job) bool {
		return j.State.Over() || seen != "" && !named(seen, tagOf(j))
	})
	if err != nil {
		return err
	}
	w.service = job.Service
	h := w.Header()
	h.Set("ETag", tagOf(&job))
	if !job.State.Over() {
		h.Set("Retry-After", retryAfter())
	}
	if named(seen, tagOf(&job)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return a.sendJob(w, http.StatusOK, &job)
}

// cancelJob answers POST /jobs/{id}/cancel.
func (a *API) cancelJob(w *response, r *http.Request) error {
	if _, err := codec.Parameters(r.URL.RawQuery); err != nil {
		return err
	}
	id, _, err := a.jobOf(w, r, "")
	if err != nil {
		return err
	}
	job, err := a.cfg.Jobs.Cancel(r.Context(), w.reader(), id)
	if err != nil {
		return err
	}
	w.service = job.Service
	w.Header().Set("ETag", tagOf(&job))
	return a.sendJob(w, http.StatusOK, &job)
}

// deleteJob answers DELETE /jobs/{id}.
func (a *API) deleteJob(w *response, r *http.Request) error {
	if _, err := codec.Parameters(r.URL.RawQuery); err != nil {
		return err
	}
	id, _, err := a.jobOf(w, r, "")
	if err != nil {
		return err
	}
	if err := a.cfg.Jobs.Delete(r.Context(), w.reader(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// How many jobs a list has.
const (
	usualJobs = 100
	mostJobs  = 1000
)

// listJobs answers GET /jobs: the caller's own, the newest first.
func (a *API) listJobs(w *response, r *http.Request) error {
	by := w.reader()
	if by.Any && !a.cfg.ListJobs {
		return &gateway.Error{Kind: gateway.NotFound, Detail: "where anyone may call, jobs are listed only on a loopback address: their ids are their secrets"}
	}
	q, err := codec.Parameters(r.URL.RawQuery, "state", "service", "limit", "cursor")
	if err != nil {
		return err
	}
	f, err := filterOf(q)
	if err != nil {
		return err
	}
	f.Owner, f.Any = by.Owner, by.Any
	f.Limit++ // one more says whether there is a next page
	all, err := a.cfg.Jobs.List(r.Context(), f)
	if err != nil {
		return err
	}
	list := struct {
		Jobs []jobView `json:"jobs"`
		Next string    `json:"next,omitempty"`
	}{Jobs: []jobView{}}
	if len(all) == f.Limit {
		all = all[:f.Limit-1]
		list.Next = strconv.FormatInt(all[len(all)-1].Seq, 10)
	}
	for i := range all {
		list.Jobs = append(list.Jobs, a.view(&all[i]))
	}
	return sendJSON(w, list)
}

func filterOf(q map[string]string) (f jobs.Filter, err error) {
	wrong := func(name, want string) error {
		return &gateway.Error{Kind: gateway.BadRequest, Detail: "the parameter " + name + " is not " + want}
	}
	f = jobs.Filter{State: jobs.State(q["state"]), Service: q["service"], Limit: usualJobs}
	if f.State != "" && !slices.Contains(jobs.States(), f.State) {
		return f, wrong("state", "a state of jobs")
	}
	if text := q["limit"]; text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > mostJobs {
			return f, wrong("limit", "a number from 1 to 1000")
		}
	}
	if text := q["cursor"]; text != "" {
		if f.Before, err = strconv.ParseInt(text, 10, 64); err != nil || f.Before < 1 {
			return f, wrong("cursor", "the next of a list")
		}
	}
	return f, nil
}
