package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/mdp"
)

// readAtOnce is how many bytes of a reply's parts are read at a time.
const readAtOnce = 1 << 20

// jobReply answers GET /jobs/{id}/reply: as the synchronous call would have been answered.
func (a *API) jobReply(w *response, r *http.Request) error {
	id := r.PathValue("id")
	job, err := a.cfg.Jobs.Get(r.Context(), w.reader(), id)
	if err != nil {
		return err
	}
	contentType, reply := a.cfg.Caller.Service(job.Service).Form()
	x, wait, err := codec.ParseReply(r, job.Form, codec.Options{ContentType: contentType, Reply: reply})
	if err != nil {
		return err
	}
	_, most, err := a.jobOf(w, r, wait)
	if err != nil {
		return err
	}
	w.service = job.Service
	job, err = a.await(r.Context(), w, id, most, func(j *jobs.Job) bool { return j.State.Over() })
	switch {
	case err != nil:
		return err
	case !job.State.Over():
		w.Header().Set("Retry-After", retryAfter())
		return &gateway.Error{Kind: gateway.JobNotDone, Service: job.Service, Detail: "the job is " + string(job.State)}
	case !w.room.Resize(job.Bytes): // before it is read; the job is still there
		return gateway.Refused(gateway.ReasonMemory, gateway.NoMemory)
	}
	return a.writeJobReply(w, r, x, &job)
}

// writeJobReply answers with the reply or the problem of a job that is over. Room for its bytes is held.
func (a *API) writeJobReply(w *response, r *http.Request, x *codec.Exchange, job *jobs.Job) error {
	reply, err := a.readReply(r.Context(), job)
	switch {
	case err != nil:
		return err
	case x.Stream && (job.State == jobs.Done || len(reply.Partials) > 0):
		return replay(w, x, job, &reply)
	case job.State != jobs.Done:
		return writeJobProblem(w, job, reply.Frames)
	}
	err = x.WriteReply(w, job.Service, job.RequestID, reply)
	if err != nil && w.status == 0 { // it can't be given in that form
		e := gateway.AsError(err)
		p := newProblem(e, job.RequestID, job.Service)
		err = codec.WriteProblem(w, p.Status, p.encode(), p.Frames)
	}
	if err != nil {
		return &gateway.Error{Kind: gateway.Canceled, Sent: true, Err: err} // nobody takes the rest of the answer
	}
	return nil
}

// readReply reads all of a job's reply, or of its problem.
func (a *API) readReply(ctx context.Context, job *jobs.Job) (reply gateway.Reply, err error) {
	for len(reply.Partials) < job.Parts {
		parts, err := a.cfg.Jobs.Parts(ctx, job.ID, len(reply.Partials), readAtOnce)
		if err != nil {
			return reply, err
		}
		reply.Partials = append(reply.Partials, parts...)
	}
	reply.Frames, err = a.cfg.Jobs.Reply(ctx, job.ID)
	return reply, err
}

// replay writes a reply as the stream that it would have been.
func replay(w *response, x *codec.Exchange, job *jobs.Job, reply *gateway.Reply) error {
	s := x.NewStream(w)
	w.events = s
	for _, part := range reply.Partials {
		if err := s.PartialOfMore(part); err != nil {
			return err
		}
	}
	return endEvents(s, job, reply.Frames)
}

// endEvents writes the last event of a job that is over.
func endEvents(s *codec.Stream, job *jobs.Job, frames [][]byte) error {
	if job.State == jobs.Done {
		return s.Final(frames)
	}
	return s.Problem(jobProblem(job, nil).encode(), frames)
}

// writeJobProblem answers with the problem that a job ended with.
func writeJobProblem(w *response, job *jobs.Job, frames [][]byte) error {
	p := jobProblem(job, frames)
	if err := codec.WriteProblem(w, p.Status, p.encode(), frames); err != nil {
		w.abort = true
	}
	return nil
}

// jobEvents answers GET /jobs/{id}/events: the states of a job and the parts of its reply as they come, then its end.
// A reader who lost the connection goes on after the part that Last-Event-ID names.
func (a *API) jobEvents(w *response, r *http.Request) error {
	if _, err := codec.Parameters(r.URL.RawQuery); err != nil {
		return err
	}
	id, _, err := a.jobOf(w, r, "")
	if err != nil {
		return err
	}
	job, err := a.cfg.Jobs.Get(r.Context(), w.reader(), id)
	if err != nil {
		return err
	}
	next := 0
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		n, err := strconv.Atoi(last)
		if err != nil || n < 0 || n >= job.Parts {
			return &gateway.Error{Kind: gateway.BadRequest, Detail: "Last-Event-ID is no id of an event of this job"}
		}
		next = n + 1
	}
	w.service = job.Service
	_, as := a.cfg.Caller.Service(job.Service).Form()
	s := codec.ParseEvents(r.Header["Accept"], as).NewEvents(w, int64(next))
	w.events = s
	return a.follow(w, r, s, &job, next)
}

// follow writes the events of a job until it is over, its reader leaves, or the gateway drains.
func (a *API) follow(w *response, r *http.Request, s *codec.Stream, job *jobs.Job, next int) (err error) {
	told := int64(0)
	for {
		if job.Revision != told {
			told = job.Revision
			if err := a.writeState(s, job); err != nil {
				return err
			}
		}
		for next < job.Parts {
			if next, err = a.writeParts(w, r, s, job.ID, next); err != nil {
				return err
			}
		}
		if job.State.Over() {
			if !w.room.Resize(job.Bytes) {
				return replyTooLarge(gateway.ReasonMemory, gateway.NoMemory)
			}
			frames, err := a.cfg.Jobs.Reply(r.Context(), job.ID)
			if err != nil {
				return err
			}
			return endEvents(s, job, frames)
		}
		before := *job
		*job, err = a.await(r.Context(), w, job.ID, pingEvery, func(j *jobs.Job) bool {
			return j.Revision != before.Revision || j.Parts > next
		})
		if err != nil {
			return err
		}
		if job.Revision == before.Revision && job.Parts == next {
			if err := s.Ping(); err != nil {
				return err
			}
			select {
			case <-a.cfg.Jobs.Leaving():
				return nil // the reader comes again, elsewhere
			default:
			}
		}
	}
}

func (a *API) writeState(s *codec.Stream, job *jobs.Job) error {
	b, err := json.Marshal(a.view(job))
	if err != nil {
		return err
	}
	return s.State(b)
}

// writeParts writes some parts of a job's reply, and returns the number of the next.
func (a *API) writeParts(w *response, r *http.Request, s *codec.Stream, id string, next int) (int, error) {
	parts, err := a.cfg.Jobs.Parts(r.Context(), id, next, readAtOnce)
	if err != nil {
		return next, err
	}
	size := int64(0)
	for _, part := range parts {
		size += mdp.Size(part)
	}
	if !w.room.Resize(size) {
		return next, replyTooLarge(gateway.ReasonMemory, gateway.NoMemory)
	}
	for _, part := range parts {
		if err := s.Partial(part); err != nil {
			return next, err
		}
		next++
	}
	w.room.Release()
	return next, nil
}
