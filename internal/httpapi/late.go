package httpapi

import (
	"context"
	"net/http"
	"time"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/httpapi/codec"
	"mdpgateway/internal/jobs"
	"mdpgateway/internal/mdp"
)

// late has a job wait for the reply if that does not come in the call's time. The caller is told where it is.
func (a *API) late(w *response, x *codec.Exchange) {
	if !a.cfg.LateReplies || a.cfg.Jobs.Rules(w.service).None {
		return
	}
	of := jobs.LateCall{MaxJobs: w.pass.MaxJobs(), Job: jobs.Job{
		Service: w.service, Owner: w.pass.Owner(), Principal: w.pass.ID, Created: time.Now(), Form: x.Form(), RequestID: w.id, Trace: w.trace,
		In: mdp.Size(w.call.Frames),
	}}
	w.call.Late = func(room int64) (gateway.LateWait, bool) {
		job, wait, ok := a.cfg.Jobs.Late(of, room)
		if ok {
			w.job = job.ID
		}
		return wait, ok
	}
}

// locate says where the reply of a call will be whose time has passed. A caller who has left does not get to know it, so
// nothing is kept.
func (a *API) locate(w *response, r *http.Request) {
	switch {
	case w.job == "":
	case r.Context().Err() != nil:
		ctx := context.WithoutCancel(r.Context())
		_ = a.cfg.Jobs.Delete(ctx, w.reader(), w.job) // what can't be deleted ends with its time
	default:
		w.Header().Set("Location", jobPath(w.job))
	}
}
