package httpapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mdpgateway/internal/gateway"
)

// lookForDrain is how often a stream of calls looks whether the gateway shuts down.
const lookForDrain = 500 * time.Millisecond

// calls answers GET /calls: the last calls that have ended, or, as server-sent events, those and all that follow. The
// list shows the ids of principals and the names of all services, as the metrics do, and is for who may read those.
func (a *API) calls(w *response, r *http.Request) error {
	if !w.pass.MayReadMetrics() {
		return &gateway.Error{Kind: gateway.Forbidden, Detail: "the caller may not read the calls: its principal needs metrics: true"}
	}
	if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		return a.followCalls(w, r)
	}
	calls, _ := a.last.after(0)
	return sendJSON(w, struct {
		Calls []callView `json:"calls"`
	}{calls})
}

// followCalls writes calls as they end, until the reader leaves or the gateway shuts down. A reader who was cut off goes
// on after the call that Last-Event-ID names, as far as that is kept.
func (a *API) followCalls(w *response, r *http.Request) error {
	last, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		last = 0
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	look := time.NewTicker(lookForDrain)
	defer look.Stop()
	written := time.Time{}
	for {
		calls, more := a.last.after(last)
		if len(calls) > 0 || time.Since(written) >= pingEvery {
			last = max(last, lastOf(calls))
			if err := writeCalls(w, calls); err != nil {
				return nil // the reader has left
			}
			written = time.Now()
		}
		for waiting := true; waiting; {
			select {
			case <-r.Context().Done():
				return nil
			case <-more:
				waiting = false
			case <-look.C:
				if a.notReady.Load() {
					return nil
				}
				waiting = time.Since(written) < pingEvery
			}
		}
	}
}

func lastOf(calls []callView) uint64 {
	if len(calls) == 0 {
		return 0
	}
	return calls[len(calls)-1].Seq
}

// writeCalls writes each call as an event, or a comment if there is none.
func writeCalls(w *response, calls []callView) error {
	text := []byte{}
	if len(calls) == 0 {
		text = append(text, ": \n\n"...)
	}
	for i := range calls {
		data, err := json.Marshal(&calls[i])
		if err != nil {
			return err
		}
		text = append(text, "id: "+strconv.FormatUint(calls[i].Seq, 10)+"\nevent: call\ndata: "...)
		text = append(append(text, data...), "\n\n"...)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.control.Flush()
}
