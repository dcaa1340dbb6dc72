package main

import (
	"fmt"

	"mdpgateway/internal/access"
)

// keyCmd is gateway key.
type keyCmd struct {
	New newKeyCmd `cmd:"" help:"Print a new random key and, in a second line, its entry for the keys file."`
}

// newKeyCmd is gateway key new. It writes no file: the key belongs to whoever
// will call, its entry to whoever runs the gateway.
type newKeyCmd struct {
	ID string `arg:"" help:"What the key is called in logs and metrics, such as web-2026-11."`
}

// Run prints the key and its entry, which is for all services until it is edited.
func (c *newKeyCmd) Run(p *process) error {
	if err := access.CheckID(c.ID); err != nil {
		return usageError{err}
	}
	secret, hash := access.New()
	entry := access.Key{ID: c.ID, SHA256: hash, Services: []string{"*"}}
	_, err := fmt.Fprintf(p.stdout, "%s\n%s\n", secret, entry.Line())
	return err
}
