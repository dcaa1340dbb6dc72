package httpapi

import (
	"encoding/hex"
	"unicode/utf8"
)

// A plannedFrame is one frame of a message that was not sent.
type plannedFrame struct {
	Hex   string  `json:"hex"`
	Text  *string `json:"text"` // null if it is no UTF-8
	Bytes int     `json:"bytes"`
}

// dryRun answers ?dry_run=true with the message that would be sent, for whoever
// writes a worker. No broker is asked anything.
func (a *API) dryRun(w *response) error {
	plan, err := a.cfg.Caller.Plan(w.call)
	if err != nil {
		return err
	}
	answer := struct {
		Service string         `json:"service"`
		Dialect string         `json:"dialect"`
		Timeout int64          `json:"timeout_ms"`
		Frames  []plannedFrame `json:"frames"`
	}{w.service, plan.Dialect.String(), plan.Timeout.Milliseconds(), nil}
	for _, frame := range plan.Frames {
		f := plannedFrame{Hex: hex.EncodeToString(frame), Bytes: len(frame)}
		if utf8.Valid(frame) {
			text := string(frame)
			f.Text = &text
		}
		answer.Frames = append(answer.Frames, f)
	}
	return sendJSON(w, answer)
}
