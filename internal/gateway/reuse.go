package gateway

import "errors"

// Reuse says whether a call may use a connection that calls had before. Where a worker
// repeats its reply, such a connection may hold the repetition, which looks like the reply
// to the next call.
type Reuse int

// The modes.
const (
	ReuseAuto   Reuse = iota // yes, unless the service was seen to repeat replies lately
	ReuseAlways              // yes
	ReuseNever               // no
)

// ParseReuse reads auto, true or false.
func ParseReuse(text string) (Reuse, error) {
	switch text {
	case "auto":
		return ReuseAuto, nil
	case "true":
		return ReuseAlways, nil
	case "false":
		return ReuseNever, nil
	}
	return 0, errors.New("auto, true or false")
}

// String returns the word that ParseReuse reads.
func (r Reuse) String() string { return [...]string{"auto", "true", "false"}[r] }
