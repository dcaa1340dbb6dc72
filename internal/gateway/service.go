package gateway

import (
	"encoding/json"
	"time"

	"mdpgateway/internal/mdp"
)

// A Plan is what would be sent for a call.
type Plan struct {
	Dialect mdp.Dialect
	Timeout time.Duration
	Frames  [][]byte // the whole message, header included
}

// Availability says whether a service can be called now, as far as is known.
type Availability string

// Up: a broker confirmed it a moment ago, or says now that it has workers. Down: none can be reached, or the last
// word of all was that it has no workers. Unknown: nobody asked lately.
const (
	ServiceUp      Availability = "up"
	ServiceDown    Availability = "down"
	ServiceUnknown Availability = "unknown"
)

// A ServiceInfo is what is known of a service: what the catalogue says, and what
// became of its calls. Durations are in milliseconds.
type ServiceInfo struct {
	Name         string          `json:"name"`
	Description  string          `json:"description,omitempty"`
	Catalogued   bool            `json:"catalogued"`
	Availability Availability    `json:"availability"`
	InFlight     int64           `json:"in_flight"`
	Calls        uint64          `json:"calls"`                // that have ended
	Failed       uint64          `json:"failed"`               // of those
	LastOK       *int64          `json:"last_ok_ms,omitempty"` // since its last reply
	Brokers      []string        `json:"brokers,omitempty"`    // that it may be asked at; none means all
	Timeout      int64           `json:"timeout_ms"`
	MaxTimeout   int64           `json:"max_timeout_ms"`
	Vars         string          `json:"vars"` // python, json or none
	VarsSchema   json.RawMessage `json:"vars_schema,omitempty"`
	Example      json.RawMessage `json:"example,omitempty"` // a request's body
	MaxFrames    int             `json:"max_frames"`
	MaxInFlight  int             `json:"max_in_flight,omitempty"`
	Reply        string          `json:"reply"` // auto, text, json or base64
	ContentType  string          `json:"content_type,omitempty"`
	Live         *LiveService    `json:"live,omitempty"` // at the embedded broker
}

// A LiveService is a service that has workers, or requests that wait for one, at
// a broker now.
type LiveService struct {
	Name    string `json:"-"`
	Workers int    `json:"workers"` // registered
	Busy    int    `json:"busy"`    // of them with a request
	Queued  int    `json:"queued"`  // requests that wait for a worker
}
