package mdp

import (
	"bytes"
	"fmt"
)

// mostLayoutBytes is the length of the longest frame that a layout may have.
const mostLayoutBytes = 255

// A LayoutError says what is wrong with a Dialect.
type LayoutError struct {
	Key  string // as settings name the field, such as partial or status_frame.ok
	Text string // follows the key, such as: is empty, want at least one byte
}

func (e *LayoutError) Error() string { return e.Key + " " + e.Text }

// Check says why a dialect can't be spoken: a message could not be told from another one, or
// a frame that it needs is missing. The error is a *LayoutError.
func (d *Dialect) Check() error {
	frames := []struct {
		key   string
		frame []byte
	}{
		{"header", d.Header}, {"request", d.Request}, {"partial", d.Partial}, {"final", d.Final}, {"error", d.Error},
		{"status_frame.ok", d.OK}, {"status_frame.failed", d.Failed},
	}
	for i, f := range frames {
		switch {
		case f.frame == nil && i > 0:
		case len(f.frame) == 0:
			return &LayoutError{f.key, "is empty, want at least one byte"}
		case len(f.frame) > mostLayoutBytes:
			return &LayoutError{f.key, fmt.Sprintf("has %d bytes, want at most %d", len(f.frame), mostLayoutBytes)}
		}
	}
	return d.checkReplies()
}

// checkReplies says why the replies of a dialect can't be told apart.
func (d *Dialect) checkReplies() error {
	same := func(key string, a, b []byte, other string) error {
		if a == nil || !bytes.Equal(a, b) {
			return nil
		}
		return &LayoutError{key, fmt.Sprintf("is %q, which is %s, want another frame", a, other)}
	}
	switch {
	case d.Final == nil && d.Partial != nil:
		return &LayoutError{"partial", fmt.Sprintf("is %q, want final beside it", d.Partial)}
	case d.Final == nil && d.Error != nil:
		return &LayoutError{"error", fmt.Sprintf("is %q, want final beside it", d.Error)}
	case d.OK == nil && d.Failed != nil:
		return &LayoutError{"status_frame.failed", fmt.Sprintf("is %q, want ok beside it", d.Failed)}
	case d.OK != nil && d.Failed == nil:
		return &LayoutError{"status_frame.ok", fmt.Sprintf("is %q, want failed beside it", d.OK)}
	}
	for _, err := range []error{
		same("partial", d.Partial, d.Final, "final"),
		same("error", d.Error, d.Final, "final"),
		same("error", d.Error, d.Partial, "partial"),
		same("status_frame.failed", d.Failed, d.OK, "ok"),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
