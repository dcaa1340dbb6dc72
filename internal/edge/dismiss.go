package edge

import (
	"context"
	"net"
	"time"
)

// handshake is longer than TCP's with a proxy that is near, and shorter than the second after which a peer repeats its
// first packet: by then it is refused.
const handshake = 200 * time.Millisecond

// ListenTCP listens on an address. Unlike net.Listen it does not take MPTCP, whose listeners Dismiss can do nothing for.
func ListenTCP(address string) (net.Listener, error) {
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	return plain.Listen(context.Background(), "tcp", address)
}

// Dismiss closes the listener and loses no connection that a peer believes to have: to close it at once resets those that
// the kernel has taken and nobody has accepted yet, with the requests on them. Where the kernel cannot be told to take no
// more of them, it only closes the listener. The end of ctx closes it at once.
func (l *Listener) Dismiss(ctx context.Context) error {
	if takeNoMore(l.Listener) == nil {
		for wait := handshake; sleep(ctx, wait) && pending(l.Listener); wait = time.Millisecond {
		}
	}
	return l.Close()
}

// sleep reports whether the time has passed before the end of ctx.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
