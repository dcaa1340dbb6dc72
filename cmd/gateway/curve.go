package main

import (
	"fmt"

	"mdpgateway/internal/access"
	"mdpgateway/internal/curve"
)

// curveCmd is gateway curve.
type curveCmd struct {
	New newCurveCmd `cmd:"" help:"Write a new pair of keys to ID.key and, for its owner alone, ID.key_secret."`
}

// newCurveCmd is gateway curve new.
type newCurveCmd struct {
	ID  string `arg:"" help:"What the files are called, and the owner in logs, such as hall1-worker."`
	Dir string `default:"." given:"" placeholder:"DIR" help:"Directory for the files (${default})."`
}

// Run writes the files and prints the public key, which the list of a broker needs.
func (c *newCurveCmd) Run(p *process) error {
	if err := access.CheckID(c.ID); err != nil {
		return usageError{err}
	}
	pair := curve.NewPair()
	public, secret, err := curve.Write(c.Dir, c.ID, pair)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n%s\n%s\n", pair.Public, public, secret)
	return err
}
