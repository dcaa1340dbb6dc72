package main

import (
	"fmt"
	"time"

	"mdpgateway/internal/access"
)

// keyCmd is gateway key.
type keyCmd struct {
	New newKeyCmd `cmd:"" help:"Print a new random key and, in a second line, its entry for the list of principals."`
}

// newKeyCmd is gateway key new. It writes no file: the key belongs to whoever
// will call, its entry to whoever runs the gateway.
type newKeyCmd struct {
	ID       string      `arg:"" help:"What the key is called in logs and metrics, such as web-2026-11."`
	Services []string    `type:"glob" default:"*" given:"" placeholder:"NAME" help:"Services that the key may call; * in a name is any text; repeatable (${default})."`
	Expires  time.Time   `given:"" placeholder:"DATE" help:"When the key stops to be valid, such as 2027-02-01; without it, never."`
	Rate     access.Rate `given:"" placeholder:"RATE" help:"How often the key may call, such as 50/s, 10/m or 100/h; without it, as often as it likes."`
}

// Run prints the key and its entry.
func (c *newKeyCmd) Run(p *process) error {
	if err := access.CheckID(c.ID); err != nil {
		return usageError{err}
	}
	secret, hash := access.NewKey()
	entry := access.Principal{ID: c.ID, Key: &access.Key{SHA256: hash}, Services: c.Services, Expires: c.Expires, Rate: c.Rate}
	_, err := fmt.Fprintf(p.stdout, "%s\n%s\n", secret, entry.Line())
	return err
}
