package zsock_test

import (
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
	"mdpgateway/internal/mdp/mdptest"
)

// It acknowledges that it has no room: the kernel waits for that as long as for a
// peer that says nothing at all.
func TestAPeerThatReadsNothingOfAMessageForFourSecondsIsLost(t *testing.T) {
	c := newContext(t)
	_, endpoint := router(t, c)
	link := mdptest.NewProxy(t, endpoint)
	d := dealer(t, c, link.Endpoint(), zsock.DealerOptions{})
	if err := d.WaitWritable(); err != nil {
		t.Fatal(err)
	}
	link.StallWay(mdptest.ToBroker)
	if err := d.Send([][]byte{make([]byte, 64<<20)}); err != nil { // more than the kernel holds
		t.Fatal(err)
	}
	start := time.Now()
	d.SetDeadline(start.Add(20 * time.Second))
	if _, err := d.Receive(); err != zsock.ErrLost {
		t.Errorf("got %v, want %v", err, zsock.ErrLost)
	}
	t.Logf("lost after %v", time.Since(start).Round(time.Millisecond))
}
