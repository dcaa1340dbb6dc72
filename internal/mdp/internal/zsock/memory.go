package zsock

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
// One heap, set before any thread has one of its own: glibc gives back only what is free in the first. It grew from 40
// to 78 MB in 6,000 timeouts with an arena for each thread, and stayed at 64 MB with one.
//
// What a large message took stays for the next one until Heap.Trim: where fresh memory is dear, to map and unmap it for
// each message of 64 MiB took most of the broker's CPU, and held up all that share its cores.
__attribute__((constructor)) static void configure_heap(void) {
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
}
static void trim_heap(void) { malloc_trim(0); }
#if __GLIBC_PREREQ(2, 33)
static size_t free_in_heap(void) { return mallinfo2().fordblks; }
#else
static size_t free_in_heap(void) { return mallinfo().fordblks; } // wraps at 4 GiB
#endif
#else
static void trim_heap(void) {}
static size_t free_in_heap(void) { return 0; }
#endif
*/
import "C"

import (
	"context"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// LargeMessage is from where on a message's memory is worth giving back.
const LargeMessage = 1 << 20

const (
	trimEvery = 10 * time.Second
	much      = 16 << 20 // bytes: of C's heap that are worth giving back, or of messages that are on their way
)

// A Heap gives the memory of messages back to the system once there are no more of them: while they come, the next ones
// need it.
type Heap struct {
	passed  atomic.Int64 // bytes of messages since the last look
	large   atomic.Bool  // a large one was among them
	swollen bool         // by large ones before; owned by who trims, as is left
	left    C.size_t     // free bytes of C's heap after the last trim
}

// Note tells of messages of that size. Any goroutine may call it.
func (h *Heap) Note(size int64) {
	h.passed.Add(size)
	if size > LargeMessage {
		h.large.Store(true)
	}
}

// Sweep trims until ctx ends.
func (h *Heap) Sweep(ctx context.Context) {
	trim := time.NewTicker(trimEvery)
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-trim.C:
			h.Trim()
		}
	}
}

// Trim is what Sweep does every ten seconds, in one goroutine. It looks at C's heap as well: many messages that are not
// large took memory there too, and what a peer did not read may become free long after it was noted.
func (h *Heap) Trim() (trimmed bool) {
	busy := h.passed.Swap(0) > much
	switch {
	case h.large.Swap(false):
		h.swollen = true
		return false
	case h.swollen:
		h.swollen = false
		debug.FreeOSMemory()
	case busy || C.free_in_heap() <= h.left+much:
		return false
	}
	C.trim_heap()
	h.left = C.free_in_heap()
	return true
}
