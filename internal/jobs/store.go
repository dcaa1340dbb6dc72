package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	"mdpgateway/internal/gateway"
)

// Errors of a Store. All others mean that the store is away: it may work later.
var (
	ErrNotFound = errors.New("there is no such job")
	ErrState    = errors.New("the job is in another state")
	ErrMismatch = errors.New("the idempotency key was used for another request")
	ErrDamaged  = errors.New("the job's data is damaged")
	ErrFull     = errors.New("the store is full")

	// ErrUnconfirmed is for a submission of which it is unknown whether it was stored.
	ErrUnconfirmed = errors.New("the store did not say whether it took the job")
)

// A Store keeps jobs. It is used by many goroutines at once. What it has confirmed survives the end of the process as
// far as the store survives, and a loss of power if it is on a disk.
//
// Frames that it is given are not kept or changed; those that it returns are the caller's.
type Store interface {
	// Submit stores a job, Queued, with the frames of its request. It sets the job's Seq. With a key of the same owner
	// that is in use, nothing is stored: the job of that key is returned if its digest is the same, else ErrMismatch.
	Submit(ctx context.Context, job *Job, frames [][]byte, key Key) (existing *Job, err error)

	// Move changes the state of a job if it is in one of the states From, and returns the job as it is then. With
	// ErrState the job is returned as it is.
	Move(ctx context.Context, move Move) (Job, error)

	// AddParts appends PARTIALs to the reply of a job that is Running; size is what all of them count.
	AddParts(ctx context.Context, id string, parts [][][]byte, size int64) error

	// Get returns a job, or ErrNotFound.
	Get(ctx context.Context, id string) (Job, error)

	// List returns jobs, the newest first.
	List(ctx context.Context, filter Filter) ([]Job, error)

	// Request returns the frames that a queued job is to send; ErrDamaged if they can't be read.
	Request(ctx context.Context, id string) ([][]byte, error)

	// Reply returns the frames of the last part of a job's reply, ErrNotFound if there are none.
	Reply(ctx context.Context, id string) ([][]byte, error)

	// Parts returns PARTIALs of a job's reply from the one of that number on, counted from 0: at least one if there
	// is one, and no more than about max bytes of them beyond the first.
	Parts(ctx context.Context, id string, from int, max int64) ([][][]byte, error)

	// Open calls yield with each job that is not over, in the order of submission: its ID, Seq, Service, Owner,
	// Created, Expires, State and Revision. Unless the store is a Shared one, the process that had those that are
	// Running is gone.
	Open(ctx context.Context, yield func(Job) error) error

	// Forget removes up to max jobs whose KeepUntil has passed, and returns how many those were.
	Forget(ctx context.Context, now time.Time, max int) (int, error)

	// Delete removes a job and all that is kept of it; ErrNotFound if there is none. A submission of the job whose
	// outcome is unknown then fails.
	Delete(ctx context.Context, id string) error

	// Interrupted returns what is kept of jobs that are Interrupted, by service.
	Interrupted(ctx context.Context) (map[string]Kept, error)

	// Stats returns a snapshot, without asking the disk.
	Stats() StoreStats

	// Close waits for what is being written.
	Close() error
}

// A Shared is a Store that several gateways use at once. Their Runners take queued jobs over from each other.
type Shared interface {
	Store

	// Watch tells a watcher what other gateways do with jobs, until Close. Close tells the others that no job runs here
	// any more.
	Watch(Watcher)

	// Leave tells the other gateways that this one starts no more jobs.
	Leave()
}

// A Watcher is told by a Shared store. Changed and Left must not block.
type Watcher interface {
	// Changed tells that another gateway has changed a job, or added parts to its reply. Of a deleted job the State is
	// empty.
	Changed(Job)

	// Left tells that another gateway starts no more jobs: those that it has queued may be taken.
	Left()

	// Lost tells that a job is Running at a gateway that is gone, or that does not have it, and returns what was made of
	// that: OwnerGone, OwnerAdopted or, if it is to be told again, OwnerLacks. Job has what Open yields.
	Lost(Job) (verdict string)
}

// What a Shared store finds out about a job that runs at another gateway.
const (
	OwnerRuns    = "runs"        // the gateway says so
	OwnerLacks   = "missing"     // the gateway is gone, or does not have it; it will be asked again
	OwnerGone    = "interrupted" // that was so several times, and the job was ended
	OwnerAdopted = "adopted"     // that was so several times, and this gateway waits for the reply
	OwnerUnknown = "unknown"     // there was no answer in time
)

// Verdicts returns what a Shared store may find out.
func Verdicts() []string {
	return []string{OwnerRuns, OwnerLacks, OwnerGone, OwnerAdopted, OwnerUnknown}
}

// A KeyStore can look for the job of an idempotency key without a submission.
type KeyStore interface {
	// Keyed returns the job of an owner's key, nil if there is none; ErrMismatch if its digest is another.
	Keyed(ctx context.Context, owner string, key Key) (*Job, error)
}

// A LateStore can keep jobs whose request was sent by a synchronous call.
type LateStore interface {
	// SubmitRunning stores a job without a request, Running since its Started. It sets the job's Seq.
	SubmitRunning(ctx context.Context, job *Job) error
}

// A Move is a change of a job's state.
type Move struct {
	ID        string
	From      []State
	Revision  int64 // that the job must have; 0: any
	To        State
	At        time.Time      // becomes Started or Ended
	Problem   *gateway.Error // of an end without reply
	Frames    [][]byte       // of the reply's last part, or of the problem
	Bytes     int64          // that the whole reply counts; 0 leaves it as it is
	KeepUntil time.Time      // of an end

	// Of a move to Running at a Shared store.
	Route gateway.Route // on which the reply will come; zero unless another gateway may wait there
	Adopt bool          // the job is Running at a gateway that is gone, and from here on at this one
}

// May reports whether the move may be made of a job as it is.
func (m *Move) May(job *Job) bool {
	return slices.Contains(m.From, job.State) && (m.Revision == 0 || m.Revision == job.Revision)
}

// A Key is an idempotency key and the digest of the request that it stands for. An empty Text is none.
type Key struct {
	Text   string
	Digest [32]byte
}

// A Filter chooses jobs of a list.
type Filter struct {
	Owner   string // whose jobs
	Any     bool   // of any owner
	State   State  // empty: any
	Service string // empty: any
	Before  int64  // only those of a lower Seq; 0: all
	Limit   int    // at most so many
}

// Kept is how many jobs of a service a store keeps in one state.
type Kept struct {
	Count int
	Last  time.Time // when the newest of them ended
}

// StoreStats says how a store is.
type StoreStats struct {
	Up         bool
	Bytes, Max int64            // in use, and at most
	Damaged    int64            // records that were set aside since the start
	Errors     map[string]int64 // by operation

	// Redelivered counts, by verdict, how often a Shared store has asked for a job that runs at another gateway.
	Redelivered map[string]int64
}
