package edge

import (
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Callers open a connection for each request while the listener closes. None that has a connection is left without an
// answer; the others are refused, which tells them that nothing was taken.
func TestAListenerThatIsDismissedLosesNoConnection(t *testing.T) {
	t.Parallel()
	for range 3 {
		g := guard(t, Config{}, &http.Server{ReadHeaderTimeout: patience})
		var callers sync.WaitGroup
		warm := make(chan struct{}, 1000)
		for range 16 {
			callers.Go(func() {
				for {
					c, err := net.DialTimeout("tcp", g.Addr().String(), patience)
					if err != nil {
						return // refused
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
					var answer []byte
					if err == nil {
						answer, err = io.ReadAll(c)
					}
					_ = c.Close()
					if err != nil || len(answer) == 0 {
						t.Errorf("a request got %q, %v, want an answer", answer, err)
						return
					}
					select {
					case warm <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 200 {
			<-warm
		}
		if err := g.Dismiss(t.Context()); err != nil {
			t.Error(err)
		}
		callers.Wait()
	}
}
