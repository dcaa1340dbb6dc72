package zsock_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"mdpgateway/internal/mdp/internal/zsock"
)

// Messages that were not large, and were held for a peer that did not read: what they took goes back once nothing is on
// its way, though nobody says when it became free.
func TestMemoryOfManyMessagesIsGivenBack(t *testing.T) {
	const each, messages = zsock.LargeMessage / 2, 200
	zctx, err := zsock.NewContext(16)
	if err != nil {
		t.Fatal(err)
	}
	r, endpoint := router(t, zctx)
	d := dealer(t, zctx, endpoint, zsock.DealerOptions{})
	var h zsock.Heap
	for h.Trim() { // what other tests left
	}
	frame := bytes.Repeat([]byte("x"), each)
	for range messages {
		h.Note(each)
		if err := d.Send([][]byte{frame}); err != nil {
			t.Fatal(err)
		}
	}
	if h.Trim() {
		t.Error("memory is given back while messages are on their way")
	}
	if h.Trim() {
		t.Error("memory is given back while messages are held")
	}
	if err := errors.Join(d.Close(), r.Close(), zctx.Close()); err != nil { // which drops them
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !h.Trim(); {
		if time.Now().After(end) {
			t.Fatal("memory is not given back")
		}
	}
	if h.Trim() {
		t.Error("memory is given back twice")
	}
}
