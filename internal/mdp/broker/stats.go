package broker

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"mdpgateway/internal/gateway"
	"mdpgateway/internal/mdp"
	"mdpgateway/internal/mdp/mdpx"
)

// A dropReason says why a message was dropped. It is a metric label.
type dropReason string

const (
	dropHeader       dropReason = "wrong_header"       // of no known dialect, or not the worker's own
	dropMalformed    dropReason = "malformed"          // too short, or with an unknown command
	dropServiceName  dropReason = "service_name"       // a name that no service can have
	dropMMIWorker    dropReason = "mmi_worker"         // a worker that would serve mmi.*
	dropReadyTwice   dropReason = "ready_twice"        // READY of a registered worker
	dropUnregistered dropReason = "unregistered"       // a message of a worker that is not registered
	dropLateReply    dropReason = "late_reply"         // to a request that the worker does not have
	dropQueueFull    dropReason = "queue_full"         // a request over a bound of the queue
	dropExpired      dropReason = "expired"            // a request that waited too long
	dropCanceled     dropReason = "canceled_queued"    // a request that was canceled before a worker had it
	dropCanceledLate dropReason = "canceled_running"   // the reply to a request that was canceled while a worker had it
	dropClientLeft   dropReason = "client_gone_queued" // a request whose client went before a worker had it
	dropWorkerLost   dropReason = "worker_lost"        // a request whose worker was lost
	dropClientGone   dropReason = "client_gone"        // a reply to a client that is not connected
	dropClientSlow   dropReason = "client_slow"        // a reply to a client that does not read
	dropNotAllowed   dropReason = "not_allowed"        // of a peer whose key is not for that
)

// dropReasons are all, so that every one has a count from the start.
var dropReasons = [...]dropReason{
	dropHeader, dropMalformed, dropServiceName, dropMMIWorker, dropReadyTwice, dropUnregistered,
	dropLateReply, dropQueueFull, dropExpired, dropCanceled, dropCanceledLate, dropClientLeft, dropWorkerLost, dropClientGone, dropClientSlow, dropNotAllowed,
}

// counters count since the start.
type counters struct {
	requests, replies, redispatched uint64
	dropped                         map[string]uint64
}

func newCounters() counters {
	c := counters{dropped: make(map[string]uint64, len(dropReasons))}
	for _, r := range dropReasons {
		c.dropped[string(r)] = 0
	}
	return c
}

func (s *state) drop(r dropReason) { s.count.dropped[string(r)]++ }

// reportEvery is how often the log says what was dropped.
const reportEvery = time.Minute

// maxStrange is how many peers of unknown dialects the log names between two reports.
const maxStrange = 20

// complain logs a message whose header the broker does not know, one of each peer until
// the next report.
func (s *state) complain(id []byte, frames [][]byte) {
	if s.strange[string(id)] || len(s.strange) >= maxStrange {
		return
	}
	s.strange[string(id)] = true
	s.cfg.Log.Warn("a peer speaks a dialect that this broker does not know",
		zap.Binary("routing_id", id), zap.ByteString("header", mdp.HeaderOf(frames)), zap.Strings("known", append(mdp.Headers(), mdpx.Header)))
}

// report logs what was dropped since the last report, if anything was.
func (s *state) report() {
	clear(s.strange)
	for _, r := range dropReasons {
		if n := s.count.dropped[string(r)] - s.reported[r]; n > 0 {
			s.reported[r] += n
			s.cfg.Log.Info("messages were dropped", zap.String("reason", string(r)), zap.Uint64("messages", n))
		}
	}
}

// Stats is a snapshot of a broker. Counts since the start are monotonic.
type Stats struct {
	Services     []gateway.LiveService // by name
	Queued       int                   // requests that wait for a worker now
	QueuedBytes  int64                 // of their bodies
	Unread       int                   // messages that wait for a client to read
	UnreadBytes  int64                 // of them
	Requests     uint64                // well-formed requests, but mmi.*
	Replies      uint64                // FINALs that went to a client
	Redispatched uint64                // requests given to another worker after theirs was lost
	Dropped      map[string]uint64     // messages dropped, by reason
	Open, Max    int                   // connections now, and at most
	Refused      uint64                // connections ended, being over Config.MaxConnections
	KeysRefused  uint64                // handshakes with a key that is not in Config.Curve's list
}

func (s *state) snapshot() Stats {
	st := Stats{
		Queued:       s.queued.requests,
		QueuedBytes:  s.queued.bytes,
		UnreadBytes:  s.outgoing,
		Requests:     s.count.requests,
		Replies:      s.count.replies,
		Redispatched: s.count.redispatched,
		Dropped:      maps.Clone(s.count.dropped),
		Services:     s.live(),
	}
	for box := range s.stalled.all {
		st.Unread += box.messages.len
	}
	return st
}

// live returns the services that have workers or queued requests, by name.
func (s *state) live() []gateway.LiveService {
	all := make([]gateway.LiveService, 0, len(s.services))
	for _, svc := range s.services {
		all = append(all, svc.live())
	}
	slices.SortFunc(all, func(a, b gateway.LiveService) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (svc *service) live() gateway.LiveService {
	return gateway.LiveService{
		Name: svc.name, Workers: svc.workers, Busy: svc.workers - svc.idle.len, Queued: svc.queued.requests, Saved: svc.saved,
	}
}
