package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/jobs"
)

// recordVersion begins every record. Those of a later version are left alone.
const recordVersion = 1

// mostInline is how many bytes of a message stand in the record itself: one write then submits a job.
const mostInline = 64 << 10

// Headers of messages.
const (
	jobHeader   = "Job"
	writeHeader = "Write"
)

// deleted is the state of what remains of a deleted job for a while, so that no write that is still on its way makes
// it again.
const deleted jobs.State = "deleted"

// A record is what the stream has of a job. Times are in nanoseconds since 1970.
type record struct {
	Version int    `json:"v"`
	Writer  string `json:"w"`           // the process that wrote it
	By      string `json:"by,omitzero"` // the process that has claimed it

	Former []string      `json:"former,omitempty"` // processes that had claimed it before it was adopted
	Route  gateway.Route `json:"route,omitzero"`   // on which the reply comes

	State     jobs.State      `json:"state"`
	Seq       int64           `json:"seq,omitzero"` // of the first record; 0 if it is this one
	Revision  int64           `json:"rev"`
	Service   string          `json:"service,omitzero"`
	Owner     string          `json:"owner,omitzero"`
	Principal string          `json:"principal,omitzero"`
	Created   int64           `json:"created,omitzero"`
	Expires   int64           `json:"expires,omitzero"`
	Started   int64           `json:"started,omitzero"`
	Ended     int64           `json:"ended,omitzero"`
	Keep      int64           `json:"keep,omitzero"`
	Timeout   time.Duration   `json:"timeout,omitzero"`
	TimeoutBy string          `json:"timeout_by,omitzero"`
	Form      string          `json:"form,omitzero"`
	RequestID string          `json:"request_id,omitzero"`
	Trace     gateway.Trace   `json:"trace,omitzero"`
	In        int64           `json:"in,omitzero"`
	Parts     int             `json:"parts,omitzero"`
	Bytes     int64           `json:"bytes,omitzero"`
	Problem   json.RawMessage `json:"problem,omitempty"`

	Key     uint64 `json:"key,omitzero"`     // sequence of its idempotency key
	Request string `json:"request,omitzero"` // name of the request's data; empty: the body has it
	Reply   string `json:"reply,omitzero"`   // name of the reply's data; empty: the body has it, if there is one
	Data    bool   `json:"data,omitzero"`    // there may be data

	// Not in the JSON.
	id   string
	last uint64 // sequence of this record
	body []byte
}

// newRecord returns the first record of a job.
func newRecord(job *jobs.Job) *record {
	return &record{
		Version: recordVersion, id: job.ID, State: jobs.Queued, Revision: 1, Service: job.Service, Owner: job.Owner, Principal: job.Principal,
		Created: nanos(job.Created), Expires: nanos(job.Expires), Timeout: job.Timeout, TimeoutBy: job.TimeoutBy, Form: job.Form,
		RequestID: job.RequestID, Trace: job.Trace, In: job.In,
	}
}

// decode reads a record's header. The error is ErrNewer or ErrDamaged.
func decode(id string, last uint64, header nats.Header, body []byte) (*record, error) {
	r := &record{id: id, last: last, body: body}
	if err := json.Unmarshal([]byte(header.Get(jobHeader)), r); err != nil {
		if newer := new(struct {
			Version int `json:"v"`
		}); json.Unmarshal([]byte(header.Get(jobHeader)), newer) == nil && newer.Version > recordVersion {
			return nil, jobs.ErrNewer
		}
		return nil, fmt.Errorf("%w: %w", jobs.ErrDamaged, err)
	}
	switch {
	case r.Version > recordVersion:
		return nil, jobs.ErrNewer
	case r.Version != recordVersion || r.State == "":
		return nil, fmt.Errorf("%w: %w", jobs.ErrDamaged, errors.New("a record has no version or no state"))
	}
	return r, nil
}

// header writes a record's.
func (r *record) header() nats.Header {
	text, _ := json.Marshal(r) // all of its parts can be encoded
	return nats.Header{jobHeader: []string{string(text)}}
}

// seq is the order of submission.
func (r *record) seq() int64 {
	if r.Seq == 0 {
		return int64(min(r.last, 1<<62))
	}
	return r.Seq
}

// job returns what the record says.
func (r *record) job() jobs.Job {
	return jobs.Job{
		ID: r.id, Seq: r.seq(), Service: r.Service, Owner: r.Owner, Principal: r.Principal, Created: moment(r.Created), Expires: moment(r.Expires),
		Timeout: r.Timeout, TimeoutBy: r.TimeoutBy, Form: r.Form, RequestID: r.RequestID, Trace: r.Trace, In: r.In,
		State: r.State, Revision: r.Revision, Parts: r.Parts, Bytes: r.Bytes, Started: moment(r.Started), Route: r.Route, Ended: moment(r.Ended),
		KeepUntil: moment(r.Keep), Problem: jobs.DecodeProblem(r.Problem),
	}
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}
