package zsock

import (
	"testing"
	"time"
)

// A ROUTER whose connections nobody counts does not go on: its owner is told, and nothing gets stuck.
func TestARouterWhoseGuardFailsReceivesNoMore(t *testing.T) {
	t.Parallel()
	c, err := NewContext(8)
	if err != nil {
		t.Fatal(err)
	}
	router, err := c.Router(RouterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := c.Guard(router, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := router.Bind("tcp://127.0.0.1:*"); err != nil {
		t.Fatal(err)
	}
	g.monitor.Interrupt() // as if it failed
	router.SetDeadline(time.Now().Add(20 * time.Second))
	if frames, err := router.Receive(); err == nil || IsInterrupted(err) {
		t.Errorf("received %q, %v, want an error that ends the ROUTER", frames, err)
	}
	if err := g.Close(); err == nil {
		t.Error("the Guard does not say why it ended")
	}
	_ = router.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
