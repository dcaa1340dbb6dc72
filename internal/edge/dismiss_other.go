//go:build !linux

package edge

import (
	"errors"
	"net"
)

func takeNoMore(net.Listener) error { return errors.ErrUnsupported }

func pending(net.Listener) bool { return false }
