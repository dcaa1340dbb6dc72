package client

import "time"

// remindEvery is how often the log says that a broker is still unavailable.
const remindEvery = time.Minute

// An Outage is the time from a broker's loss, or from the first attempt to reach it, until it is connected. It is not safe
// for concurrent use.
type Outage struct {
	since, told time.Time
	attempts    int // that failed, or the loss
}

// Note counts a failure. It says whether to log it, how many there were, and for how long the broker has been unavailable.
func (o *Outage) Note(now time.Time) (tell bool, attempts int, lasts time.Duration) {
	if o.attempts == 0 {
		o.since = now
	}
	o.attempts++
	tell = o.attempts == 1 || now.Sub(o.told) >= remindEvery
	if tell {
		o.told = now
	}
	return tell, o.attempts, now.Sub(o.since)
}
