package jobs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"regexp"
	"time"

	"mdpgateway/internal/gateway"
)

// A State is where a job is on its way. Metrics, the API and stores use the same word.
type State string

// The states. A job that is Interrupted is over for its readers, and may still become Done or Failed if its reply
// comes after all; the other ends are final.
const (
	Queued      State = "queued"      // not sent
	Running     State = "running"     // claimed: its request was sent, or is about to be
	Done        State = "done"        // a reply came
	Failed      State = "failed"      // what a synchronous caller would have got as a problem
	Canceled    State = "canceled"    // by its owner, or since its caller may no longer call the service
	Expired     State = "expired"     // its time in the queue passed; it was not sent
	Interrupted State = "interrupted" // the gateway ended while it ran
)

// States returns all states in the order above.
func States() []State {
	return []State{Queued, Running, Done, Failed, Canceled, Expired, Interrupted}
}

// Over reports whether nothing more is to be expected of a job in this state.
func (s State) Over() bool { return s != Queued && s != Running }

// A Job is one call on its way. What it was asked with and what came back are kept apart, in the Store.
type Job struct {
	// Set when it is submitted.
	ID        string // see NewID
	Seq       int64  // the order of submission at its store, which sets it
	Service   string
	Owner     string        // who may read it; empty: whoever knows the ID
	Principal string        // who submitted it; empty where callers have no identity
	Created   time.Time     // when it was submitted
	Expires   time.Time     // until when it may wait to be sent
	Timeout   time.Duration // from the send to the reply
	TimeoutBy string        // what set Timeout, such as --jobs-timeout
	Form      string        // of the request's body, which the reply mirrors
	RequestID string        // of the request that submitted it
	Trace     gateway.Trace // that this request was in
	In        int64         // bytes of the request's frames

	// Set as it goes on.
	State     State
	Revision  int64 // grows with each change of State
	Parts     int   // PARTIALs of the reply so far
	Bytes     int64 // of the reply so far, all frames
	Started   time.Time
	Route     gateway.Route // on which its reply comes, while it runs; zero unless another gateway may wait there
	Ended     time.Time
	KeepUntil time.Time      // when it will be forgotten; zero until it is over
	Problem   *gateway.Error // of a job that is over without a reply; its Frames are kept as the reply's
}

// Executed says whether the job's request ran.
func (j *Job) Executed() gateway.Executed {
	switch {
	case j.State == Running:
		return gateway.Maybe
	case j.State == Done:
		return gateway.Yes
	case j.Problem != nil:
		return j.Problem.Executed()
	}
	return gateway.No
}

// idEncoding writes 5 bits a character, in letters and digits that are not mistaken for each other.
var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// The bytes of an id: a hash of the service, which names the queue that a store keeps the job in, and random ones.
const (
	idService = 5
	idRandom  = 20
)

// NewID returns a new id of a job: 40 of the characters a-z and 2-7, of which 160 bits are random. Where callers have
// no identity, to know it is to own the job.
func NewID(service string) string {
	var b [idService + idRandom]byte
	sum := sha256.Sum256([]byte(service))
	copy(b[:idService], sum[:])
	_, _ = rand.Read(b[idService:]) // never fails
	return lower(idEncoding.EncodeToString(b[:]))
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

var idForm = regexp.MustCompile(`^[a-z2-7]{40}$`)

// IsID reports whether a text has the form of an id.
func IsID(text string) bool { return idForm.MatchString(text) }

// EncodeProblem writes an error as stores keep it: without its cause, which is in the log, and without frames.
func EncodeProblem(e *gateway.Error) []byte {
	if e == nil {
		return nil
	}
	bare := *e
	bare.Err, bare.Frames = nil, nil
	text, _ := json.Marshal(bare) // all of its parts can be encoded
	return text
}

// DecodeProblem reads what EncodeProblem wrote. What can't be read is a problem too.
func DecodeProblem(text []byte) *gateway.Error {
	if len(text) == 0 {
		return nil
	}
	e := new(gateway.Error)
	if err := json.Unmarshal(text, e); err != nil || e.Kind == "" {
		return Damaged()
	}
	return e
}

// Damaged is the problem of a job whose record or request can't be read back.
func Damaged() *gateway.Error {
	return &gateway.Error{Kind: gateway.Internal, Sent: true, Detail: "the job's record is damaged"}
}
