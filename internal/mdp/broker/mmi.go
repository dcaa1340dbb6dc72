package broker

import (
	"time"

	"mdpgateway/internal/mdp"
)

// answerMMI answers a request to the broker itself (RFC 8/MMI): mmi.service says
// whether a worker is registered for a service, busy or not.
func (s *state) answerMMI(now time.Time, d *mdp.Dialect, id, name []byte, body [][]byte) {
	status := mdp.StatusNotImplemented
	if string(name) == mdp.MMIService {
		status = mdp.StatusNotFound
		if svc := s.services[string(body[len(body)-1])]; svc != nil && svc.workers > 0 {
			status = mdp.StatusFound
		}
	}
	s.toClient(now, d.AppendReply(s.begin(id), name, [][]byte{[]byte(status)}, true), nil, true)
}
