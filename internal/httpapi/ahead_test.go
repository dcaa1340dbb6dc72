package httpapi

import (
	"net/http"
	"testing"
	"time"

	"mdpgateway/internal/edge"
)

// Callers open connections that they have no request for yet: a client's pool keeps that of a call that was left while
// it was being opened.
func TestAConnectionThatIsOpenedAheadIsThereForItsFirstRequest(t *testing.T) {
	bounded(t, edge.Config{Max: 10}, Config{HeaderTimeout: 10 * time.Second}, func(t *testing.T, _ *testServer, l *edge.Listener, dial func() *rawConn) {
		ahead, slow := dial(), dial()
		time.Sleep(5 * time.Minute)
		ahead.send(head + "Content-Length: 1\r\n\r\nx")
		ahead.answer().wantBody(t, 200, "x")
		start := time.Now()
		slow.send("GET /livez HTTP/1.1\r\nHost: x\r\nA: ")
		if a := slow.answer(); a.StatusCode != http.StatusRequestTimeout || time.Since(start) != 10*time.Second {
			t.Errorf("got %d after %v, want 408 after 10s", a.StatusCode, time.Since(start))
		}
		slow.wantClosed()
		l.Wait()
	})
}
